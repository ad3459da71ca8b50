"""The classifiers that learn from samples: the usual one, and two unlike it."""

from torch import Tensor, nn

from vae_augment.evaluation.classifier import Network, small_cnn

WIDTH = 32


def logistic(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Logistic regression on pixels."""
    channels, height, width = image_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))


def small_resnet(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Three residual blocks of 32 to 128 channels, batch normalisation, and a mean over places."""
    return nn.Sequential(
        nn.Conv2d(image_shape[0], WIDTH, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        Block(WIDTH, WIDTH),
        Block(WIDTH, 2 * WIDTH),
        Block(2 * WIDTH, 4 * WIDTH),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * WIDTH, classes),
    )


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., "Deep residual learning", 2016)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        stride = 1 if channels == out else 2
        self.inner = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.activation(self.inner(x) + self.shortcut(x))
        return found


CLASSIFIERS: dict[str, Network] = {
    "small_cnn": small_cnn,
    "small_resnet": small_resnet,
    "logistic": logistic,
}
