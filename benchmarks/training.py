"""One epoch of `fit --network mlp` against the loop of the classic example script, same model, same data, one run."""

import argparse

import torch
from common import save, seconds
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from vae_augment.training import FitConfig, load_data
from vae_augment.training.trainer import Trainer


class ClassicVAE(nn.Module):
    """The network of the classic example: 784-400-(20+20), 20-400-784."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden = F.relu(self.fc1(x.view(-1, 784)))
        mean, logvar = self.fc21(hidden), self.fc22(hidden)
        latent = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(latent)))), mean, logvar


def classic_epoch(root: str) -> float:
    """As the script runs it.

    A DataLoader over torchvision's MNIST with ToTensor, batch 128, in the main process.
    """
    data = datasets.MNIST(root, transform=transforms.ToTensor())
    model = ClassicVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    total = 0.0
    for image, _ in DataLoader(data, batch_size=128, shuffle=True):
        optimizer.zero_grad()
        decoded, mean, logvar = model(image)
        cross_entropy = F.binary_cross_entropy(decoded, image.view(-1, 784), reduction="sum")
        loss = cross_entropy - 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
        loss.backward()
        total += loss.item()
        optimizer.step()
    return total / len(data)


def our_epoch(root: str) -> float:
    trainer = Trainer(load_data("mnist", root), FitConfig(network="mlp", epochs=1))
    terms = [trainer.update() for _ in range(trainer.steps_per_epoch)]
    return sum(float(term.reconstruction + term.kl) for term in terms) / len(terms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds torchvision's MNIST")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    losses = classic_epoch(arguments.root), our_epoch(arguments.root)
    assert abs(losses[0] - losses[1]) < 2, (
        losses
    )  # the same training, up to the order of the images
    classic = seconds(lambda: classic_epoch(arguments.root), arguments.repeats, warm_up=0)
    ours = seconds(lambda: our_epoch(arguments.root), arguments.repeats, warm_up=0)
    ratio = ours["median"] / classic["median"]
    print(
        f"classic script {classic['median']:.2f} s, vae-augment {ours['median']:.2f} s an epoch: "
        f"ratio {ratio:.2f}"
    )
    print(f"mean loss of the first epoch: classic {losses[0]:.1f}, vae-augment {losses[1]:.1f}")
    save(
        "training",
        {
            "classic_seconds": classic,
            "our_seconds": ours,
            "ratio": ratio,
            "first_epoch_losses": losses,
        },
    )


if __name__ == "__main__":
    main()
