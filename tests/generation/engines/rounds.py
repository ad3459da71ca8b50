"""What each process of `test_jobs_started_at_the_same_time` does.

Without torch, whose import would take longest.
"""

from pathlib import Path
from typing import Any

from vae_augment.generation import make_job, run
from vae_augment.generation.engines.ranks import run_serially
from vae_augment.generation.plan import Share

ROUNDS = 3


def run_rounds(model: Path, root: Path, share: Share, barrier: Any) -> None:
    """Make a share of one folder after the other, each at the same moment as other processes."""
    for number in range(ROUNDS):
        job = make_job(
            model, 8, root / str(number), format="npz", labels="balanced", seed=0, shard_size=1
        )
        barrier.wait(timeout=60)
        run(job, run_serially, share)
