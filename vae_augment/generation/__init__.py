"""Generation at any scale: shards on disk, made by whichever engine, the same bytes from each."""

from .folder import Manifest, verify
from .generating import generate, make_job, run
from .plan import Plan, make_plan
from .shard import Job, Record

__all__ = [
    "Job",
    "Manifest",
    "Plan",
    "Record",
    "generate",
    "make_job",
    "make_plan",
    "run",
    "verify",
]
