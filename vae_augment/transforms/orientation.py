"""Pictures with their axes exchanged, as the files of EMNIST hold them."""

from typing import overload

from PIL import Image
from torch import Tensor
from torchvision import tv_tensors


@overload
def transposed(image: Image.Image) -> Image.Image: ...
@overload
def transposed(image: Tensor) -> Tensor: ...
def transposed(image: Image.Image | Tensor) -> Image.Image | Tensor:
    """Exchange height and width of a PIL image or of a tensor [..., H, W].

    >>> datasets.EMNIST(root, split="letters", transform=v2.Lambda(transposed))
    """
    if isinstance(image, Image.Image):
        return image.transpose(Image.Transpose.TRANSPOSE)
    result = image.transpose(-2, -1).contiguous()
    return tv_tensors.wrap(result, like=image) if isinstance(image, tv_tensors.Image) else result
