"""`python -m vae_augment`, for where the command `vae-augment` is not on the path."""

from .cli import main

main()
