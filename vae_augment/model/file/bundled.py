"""The bundled files: their names, their folder, and the digests that they had before."""

from pathlib import Path

BUNDLED = (
    "mnist",
    "fashion-mnist",
    "devanagari",
    "bloodmnist",
    "breastmnist",
    "glyphs",
    "strokes",
    "objects",
)
BUNDLED_FOLDER = Path(__file__).parents[2].absolute() / "models"
# Files that were written anew with the same weights and latents: what names such a digest still
# means the file.
EARLIER_DIGESTS = {
    "6ef2d2118d54b20c44269d74e2990254465b2828f80936dc17a7d81ae4b50129": "mnist",
    "4b14bff521d2121ea2663e836509677cd89b93f68563478c364f6383192f433e": "fashion-mnist",
    "c871b6ffe193d1e6d78d10b0b0dcfcde5dee37e212491e40d48d560287ef819d": "mnist",
    "88ca9e503715abca8d80f3d87ac40f7aded4baec513b366333b1280dd0a7bf13": "strokes",
}
# Files whose weights or latents have changed since.
REPLACED_DIGESTS = {
    "8e3dcf964d03d74fc964e41fa3f4e64a8b2e99bfb5ce6b69dde40b26cd0bdf9a": "fashion-mnist",
    "a9b5d98ad0c7617ee4a05ac7c77cd3867ad3d56bf30adbea8942925bc2a8e6b8": "fashion-mnist",
    "0faca428ae573c702efd68498549114a1303f52cfd05d47129f76a8840a9d1f6": "fashion-mnist",
    "e1fe092a6500b3dd0c4e519c326c2677af812c0a15a8fd553d9d74e8ab1f2c19": "fashion-mnist",
    "19cc4ff6dbad8c73738c8f857e8315c71e15ae742976c3af156f59f205d4873f": "mnist",
    "e11ffe20e8bdea3bb0ab36cb9fc3b967fbb98bfd692109383a05e50d3e1b5336": "mnist",
    "874d7e9acc7b902091e3df5f425387a371e9bef16d29ec401b7014383ac82134": "glyphs",
    "f4427cfe585313b1e81edbc4471ac8fd6428583879819e50be8017c074819348": "glyphs",
    "375743d83fbfa3f690e6eec26337dc3b64192a14c1dfd0737036765d60719fa5": "bloodmnist",
    "c7d5ea45c2ddf2e92aedfbfd16a3c6d68cfa9b1bc2ef8c4456a02426887b4b11": "bloodmnist",
    "377aeec43ccb75dd83f7aca20c32ad4e7aef31ca2431809968e54e84b26df48c": "bloodmnist",
    "da77df0a538cfd0d781a4cffc79bda272e0aee15092814818d2798023ae7ad95": "glyphs",
    "1e40e0ac92661de7a2f29290ca8b145332ace311cc31310fda60a0ae97a1b8a3": "glyphs",
    "c0cda89c8b9ba48b91755bdc2969261f8f8c5858cac68c9b4bf0e74910520e8f": "devanagari",
    "e931363b44258be9fbe670c27f3ef7903c9e1f323d18e3b18fc60a354c5e7226": "devanagari",
    "91fc809fcf98e5c92266710598500b7c4d39eb86254154572134146132f05e58": "devanagari",
    "3d873b976104af750dbb24276e92f723b32f5f4717a50f3a533bb90b060aa113": "devanagari",
    "43323d3996b9004167862edeccc9257a06776beca50d378587cc47a8c33154d2": "devanagari",
    "ac3287af5688e0064c82665c87c8fce09d823dc45fde493d4bd043a7c5a46da4": "breastmnist",
    "91f5bc51cace76867f38e26f556d2101dd481c64ca905927f26493183bb97def": "breastmnist",
}
