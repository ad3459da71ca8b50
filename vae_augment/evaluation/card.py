"""The model card of a file, as the Hugging Face Hub has it, from what the file says of itself."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import printable
from ..model.evidence import AUDIT, PRIVACY, SAMPLES_ONLY
from ..model.vae_model import VAEModel
from ..privacy.words import audit_in_words, privacy_in_words, samples_only_in_words
from ..training.quality import describe_quality

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


def model_card(model: VAEModel, *, licence: str | None = None, picture: str | None = None) -> str:
    """The card in Markdown, with the front matter that the Hub reads.

    Args:
        model: the model of the file.
        licence: its identifier, such as "apache-2.0", on the Hub's list; None = not stated.
        picture: where the card finds a picture of the model's samples; None = it has none.
    """
    blocks = [_front_matter(licence), f"# {_plain(model.name)}", _what_it_is(model)]
    if picture is not None:
        blocks.append(f"![Samples and perturbations of them]({picture})")
    blocks += [
        "## How to load it",
        _how_to_load(model),
        "## What it was trained on",
        _training(model),
        "## What a classifier learns from its samples",
        _samples_only(model.spec.evidence),
        "## What it gives away about its training images",
        _gives_away(model),
        "## Licence",
        _plain(licence) if licence else "Not stated.",
    ]
    return "\n\n".join(blocks) + "\n"


def _front_matter(licence: str | None) -> str:
    facts: dict[str, Any] = {
        "library_name": "vae-augment",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["vae", "data-augmentation", "onnx"],
    }
    if licence is not None:
        facts["license"] = licence
    # JSON is YAML, and quotes what a stranger may have written.
    lines = [f"{key}: {json.dumps(value)}" for key, value in facts.items()]
    return "\n".join(["---", *lines, "---"])


def _what_it_is(model: VAEModel) -> str:
    spec = model.spec
    channels, height, width = spec.image_shape
    kind = "redraws images that it is given" if not spec.kind.samples else "draws images"
    classes = ""
    if spec.classes:
        named = ", ".join(_plain(name) for name in spec.classes[:20])
        more = ", ..." if len(spec.classes) > 20 else ""
        classes = f" of {len(spec.classes)} classes ({named}{more})"
    return (
        f"A variational autoencoder in one ONNX file, for data augmentation. It {kind}{classes}: "
        f"{channels} x {height} x {width} (channels, height, width), values in [0, 1], from "
        f"{spec.latent_dim} latent dimensions. Format version {spec.format_version}, written by "
        f"{_plain(spec.exporter)}."
    )


def _how_to_load(model: VAEModel) -> str:
    file = f"{model.name}.onnx"
    use = [
        "from torchvision.transforms import v2",
        "from vae_augment import VAEAugment, load",
        "",
        f'model = load("hf://OWNER/NAME/{file}", sha256="{model.sha256}")',
        "augment = v2.Compose([v2.ToImage(), VAEAugment(model)])",
    ]
    if model.spec.kind.samples:
        use.append("images, labels = model.sample(10)")
    code = "\n".join(use)
    return (
        f'`pip install "vae-augment[cpu,hub]"`, or a copy of the file and its path:\n\n'
        f"```python\n{code}\n```"
    )


def _training(model: VAEModel) -> str:
    facts = model.spec.training
    if not facts:
        return "The file does not say."
    rows = [f"| {_plain(key)} | {_plain(value)} |" for key, value in facts.items()]
    table = "\n".join(["| setting | value |", "|---|---|", *rows])
    quality = describe_quality(facts)
    return table if quality is None else f"{table}\n\n{_plain(quality.text)}"


def _samples_only(evidence: Mapping[str, Mapping[str, Any]]) -> str:
    if SAMPLES_ONLY not in evidence:
        return "Not measured."
    return _sentences(samples_only_in_words(evidence[SAMPLES_ONLY]))


def _gives_away(model: VAEModel) -> str:
    spec = model.spec
    blocks = []
    if spec.latents is not None and len(spec.latents.bank):
        blocks.append(
            f"**Warning: the file carries the latents of {len(spec.latents.bank)} training images; "
            "its decoder turns them back into images close to the originals.**"
        )
    if PRIVACY in spec.evidence:
        blocks.append(f"It has {_sentences(privacy_in_words(spec.evidence[PRIVACY]), first=False)}")
    else:
        blocks.append(
            "It promises no differential privacy: what follows was looked for, not proved."
        )
    if AUDIT in spec.evidence:
        blocks.append(f"Audit. {_sentences(audit_in_words(spec.evidence[AUDIT]))}")
    else:
        blocks.append("It was not audited (`vae-augment audit`).")
    return "\n\n".join(blocks)


def _sentences(lines: list[str], *, first: bool = True) -> str:
    found = [_plain(line.rstrip(".")) for line in lines]
    capital = [line[:1].upper() + line[1:] for line in found]
    return ". ".join(capital if first else [found[0], *capital[1:]]) + "."


def _plain(value: object) -> str:
    """`value` as text that is neither Markdown nor HTML, on one line."""
    return _MARKDOWN.sub(r"\\\1", printable(str(value)).replace("\n", " "))
