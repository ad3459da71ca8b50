"""Videos: one decision and one noise for all frames of a clip."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from vae_augment import AugmentedDataset, VAEAugment, VAEAugmentError, VAEModel, load
from vae_augment.training import load_data

SHAPE = (1, 8, 8)
FRAMES = 5
CLIPS = 4
MODES = ("posterior", "interpolation", "extrapolation", "prior")


@pytest.fixture(scope="module")
def model(tiny_model_path: Path) -> VAEModel:
    return load(tiny_model_path)


@pytest.fixture(scope="module")
def stills() -> Tensor:
    """Clips [CLIPS, FRAMES, C, H, W] of which all frames are alike."""
    images = load_data("digits").images[:CLIPS]
    return images[:, None].expand(CLIPS, FRAMES, *SHAPE)


def kinds(clip: Tensor) -> int:
    return len(clip.flatten(1).unique(dim=0))


@pytest.mark.parametrize("labels_getter", [None, "default"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("residual", [True, False])
def test_still_clips_stay_still(
    mode: str, labels_getter: str | None, residual: bool, model: VAEModel, stills: Tensor
) -> None:
    if mode == "prior" and labels_getter is None:
        pytest.skip("prior needs labels")
    augment = VAEAugment(
        model, mode=mode, strength=3, p=1, residual=residual, labels_getter=labels_getter
    )
    labels = torch.tensor([7, 7, 3, 3])
    output, _ = augment(tv_tensors.Video(stills), labels)
    assert isinstance(output, tv_tensors.Video)
    assert [kinds(clip) for clip in output] == [1] * CLIPS
    assert kinds(output[:, 0]) == CLIPS
    assert not torch.equal(output, stills)
    one, _ = augment(tv_tensors.Video(stills[0]), 7)
    assert kinds(one) == 1


def test_one_decision_for_all_frames(model: VAEModel, stills: Tensor) -> None:
    many = stills[:1].expand(200, FRAMES, *SHAPE)
    torch.manual_seed(0)
    output = VAEAugment(model, p=0.5)(tv_tensors.Video(many))
    changed = (output != many).flatten(2).any(2)
    assert (changed.all(1) | ~changed.any(1)).all()
    assert 60 < int(changed.all(1).sum()) < 140


def test_the_frames_of_a_clip_share_the_noise_but_not_the_image(
    model: VAEModel, stills: Tensor
) -> None:
    clip = stills[:, 0]  # frames that differ
    torch.manual_seed(3)
    output = VAEAugment(model, p=1.0, residual=False, unit=1)(tv_tensors.Video(clip))
    torch.manual_seed(3)
    torch.rand(1)
    noise = torch.randn(1, model.spec.latent_dim).expand(len(clip), -1)
    expected = (model.redraw(clip, noise) * 255.999).to(torch.uint8)
    assert (output.int() - expected.int()).abs().max() <= 1


def test_partners_are_other_clips(model: VAEModel, stills: Tensor) -> None:
    """A clip alone in its class stays at its reconstruction, although its frames are many."""
    augment = VAEAugment(
        model, mode="interpolation", strength=1e4, p=1, residual=False, labels_getter="default"
    )
    clips = stills / 255
    labels = torch.tensor([7, 7, 3, 4])
    output, _ = augment(tv_tensors.Video(clips), labels)
    expected = model.reconstruct(clips[:, 0], labels)[[1, 0, 2, 3]]  # of the partners
    torch.testing.assert_close(Tensor(output[:, 0]), expected, atol=1e-4, rtol=0)


def test_a_clip_and_an_image_in_one_call(model: VAEModel, stills: Tensor) -> None:
    augment = VAEAugment(model, p=1.0)
    video, image = augment(tv_tensors.Video(stills[0]), tv_tensors.Image(stills[0, 0]))
    assert (video.shape, image.shape) == (stills[0].shape, SHAPE)
    torch.testing.assert_close(video[0].int(), image.int(), atol=1, rtol=0)


def test_params_of_a_clip_can_be_replayed(model: VAEModel, stills: Tensor) -> None:
    augment = VAEAugment(model, p=1.0)
    video = tv_tensors.Video(stills)
    params = augment.make_params([video])
    assert params["apply"].shape == (CLIPS,)
    assert torch.equal(augment.transform(video, params), augment.transform(video, params))


def test_in_a_pipeline_and_without_frames(model: VAEModel, stills: Tensor) -> None:
    pipeline = v2.Compose([VAEAugment(model, p=1.0), v2.ToDtype(torch.float32, scale=True)])
    assert kinds(pipeline(tv_tensors.Video(stills[0]))) == 1
    empty = tv_tensors.Video(torch.zeros(0, *SHAPE, dtype=torch.uint8))
    assert pipeline(empty).shape == (0, *SHAPE)


class Clips(torch.utils.data.Dataset[Any]):
    def __init__(self, clips: Tensor, wrap: Any) -> None:
        self.clips = clips
        self.wrap = wrap

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Any:
        return self.wrap(self.clips[index]), 3


@pytest.mark.parametrize("seed", [None, 5])
def test_a_dataset_of_clips(seed: int | None, model: VAEModel, stills: Tensor) -> None:
    data = AugmentedDataset(
        Clips(stills, tv_tensors.Video), VAEAugment(model, p=1.0, strength=3), seed=seed
    )
    items = data.__getitems__(range(CLIPS))
    assert [kinds(clip) for clip, _ in items] == [1] * CLIPS
    if seed is not None:
        assert torch.equal(items[2][0], data[2][0])
    images, _ = next(iter(DataLoader(data, batch_size=2, collate_fn=list)))[0]
    assert images.shape == (FRAMES, *SHAPE)


def test_seeded_stacks_that_are_no_videos_are_refused(model: VAEModel, stills: Tensor) -> None:
    augment = VAEAugment(model, p=1.0)
    data = AugmentedDataset(Clips(stills, Tensor), augment, seed=5)
    with pytest.raises(VAEAugmentError, match=r"wrap them: `tv_tensors.Video\(image\)`"):
        data[0]
    assert AugmentedDataset(Clips(stills, Tensor), augment)[0][0].shape == (FRAMES, *SHAPE)
