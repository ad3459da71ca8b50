"""The training objective: what a step minimises and how, and the average of the weights.

The negative ELBO, a sum of two terms (Kingma and Welling, "Auto-Encoding Variational Bayes", 2014,
equation 10). `FitConfig.beta` weighs the KL term (Higgins et al., "beta-VAE", 2017).
"""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..errors import VAEAugmentError
from . import distributed
from .batches import Batch
from .config import FitConfig
from .half_precision import half_precision, half_products
from .networks.base import Network, Terms

# Rare batches give gradients ten times the usual; cut those, leave the rest alone.
LARGEST_GRADIENT = 200.0
SLOWEST_AVERAGE = 0.999  # share of the average that a step keeps, once it has grown to that
WARM_UP_STEPS = 500  # of the learning rate, at most
KL_WARM_UP_SHARE = 0.2  # of all steps
LAST_RATE = 0.01  # share of the peak of the learning rate


class Objective:
    """Minimises the ELBO of a network by Adam at a constant rate, as the classic example does.

    Attributes:
        network: what is trained, on the device of the run.
        average: the network whose weights are kept; here `network` itself.
        optimizer: Adam.
        precision: bfloat16, or None for float32.
    """

    def __init__(self, network: Network, config: FitConfig, total_steps: int) -> None:
        self.network = network
        self.average = network
        self.config = config
        self.total_steps = total_steps
        assert config.beta is not None  # `FitConfig.for_data` sets it
        self.beta = config.beta
        self.call: nn.Module = network
        if distributed.world_size() > 1:
            self.call = DistributedDataParallel(network)
        self.optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
        precisions = {
            "auto": half_precision(config.device),
            "float32": None,
            "bfloat16": torch.bfloat16,
        }
        self.precision = precisions[config.precision]
        self.autocast = torch.autocast(config.device, self.precision, enabled=self.has_autocast)

    @property
    def has_autocast(self) -> bool:
        """The classic network is so small that autocast's conversions cost more than it saves."""
        return self.precision is not None and self.config.precision != "auto"

    def minimise(self, batch: Batch, step: int) -> Terms:
        """Take step number `step`, from 0, and return the means of the terms over the whole batch.

        Raises:
            VAEAugmentError: the loss is not finite.
        """
        with half_products(self.precision is not None):
            with self.autocast:
                terms: Terms = self.call(batch.image, batch.target, batch.label, batch.noise)
            means = _means(terms, batch.images)
            loss = (means.reconstruction + means.kl).item()
            if not math.isfinite(loss):
                raise diverged(f"The loss is {loss} at step {step} of {self.total_steps}")
            self.optimizer.zero_grad()
            # DistributedDataParallel averages the gradients over ranks; they have to be summed.
            weight = torch.full_like(terms.kl, distributed.world_size() / batch.images)
            torch.autograd.backward(terms, (weight, self.kl_weight(step) * weight))
        self.descend(step)
        return means

    def kl_weight(self, step: int) -> float:
        """The weight of the KL term in a step."""
        return self.beta

    def descend(self, step: int) -> None:
        """Change the weights by the gradients."""
        self.optimizer.step()

    def state(self) -> dict[str, Mapping[str, Tensor]]:
        """Groups of tensors that `load_state` continues from."""
        moments = self.optimizer.state_dict()["state"]
        return {
            "model": self.network.state_dict(),
            "average": self.average.state_dict(),
            **{f"optimizer.{index}": values for index, values in moments.items()},
        }

    def load_state(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Continue from what `state` gave, in the memory layout that training uses."""
        self.network.load_state_dict(dict(groups["model"]))
        self.average.load_state_dict(dict(groups["average"]))
        moments = {}
        for index, parameter in enumerate(self.network.parameters()):
            moments[index] = dict(groups[f"optimizer.{index}"])
            for name in ("exp_avg", "exp_avg_sq"):
                # The fused kernel goes through memory as it lies, so the moments need the layout of
                # their parameter.
                moments[index][name] = torch.empty_like(parameter).copy_(moments[index][name])
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})


class ScheduledObjective(Objective):
    """Adds warm-up and cosine decay of the learning rate, warm-up of the KL term, and an average.

    A full KL term from the start lets dimensions collapse before the decoder has learnt to use them
    (Sonderby et al., "Ladder Variational Autoencoders", 2016).
    """

    def __init__(self, network: Network, config: FitConfig, total_steps: int) -> None:
        average = copy.deepcopy(network)
        super().__init__(network, config, total_steps)
        self.average = average

    @property
    def has_autocast(self) -> bool:
        """Wherever bfloat16 is used."""
        return self.precision is not None

    def kl_weight(self, step: int) -> float:
        """From 0 to beta in the first fifth of all steps."""
        return self.beta * min(1.0, step / (KL_WARM_UP_SHARE * self.total_steps))

    def learning_rate(self, step: int) -> float:
        """Linear warm-up times a cosine down to a hundredth of the peak."""
        warm_up_steps = max(1, min(WARM_UP_STEPS, self.total_steps // 10))
        warm_up = min(1.0, (step + 1) / warm_up_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.total_steps))
        share = warm_up * (LAST_RATE + (1 - LAST_RATE) * cosine)
        return self.config.learning_rate * share

    def descend(self, step: int) -> None:
        """Clip the gradients, change the weights, and move their average."""
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate(step)
        self.optimizer.step()
        # A decay that grows, so that the first weights are forgotten soon.
        decay = min(SLOWEST_AVERAGE, (1 + step) / (10 + step))
        averaged = list(self.average.parameters())
        get_ema_multi_avg_fn(decay)(averaged, list(self.network.parameters()), step)


def objective_for(network: type[Network]) -> type[Objective]:
    """The objective that a network is trained by."""
    return Objective if network.is_classic else ScheduledObjective


def diverged(what: str) -> VAEAugmentError:
    """The error of a run that cannot go on from its state."""
    return VAEAugmentError(
        f"{what}. Training diverged and stopped; a saved state of it would diverge again. Start "
        "anew with a smaller --learning-rate and --overwrite."
    )


def _means(terms: Terms, images: int) -> Terms:
    # Each rank divides by the size of the whole batch, so that the sum over ranks is the mean.
    means = torch.stack([term.detach() for term in terms]).sum(1) / images
    return Terms(*distributed.total(means))
