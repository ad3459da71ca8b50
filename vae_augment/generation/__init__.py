"""Generation at any scale: shards on disk, made by whichever engine, the same bytes from each."""

from .folder import Manifest, verify
from .plan import Plan, make_plan
from .run import generate, make_job, run
from .shard import Job, Record

__all__ = ["Job", "Manifest", "Plan", "Record", "generate", "make_job", "make_plan", "run", "verify"]
