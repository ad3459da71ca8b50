"""What runs shards: a pool of processes, the ranks of torchrun, or Ray."""
