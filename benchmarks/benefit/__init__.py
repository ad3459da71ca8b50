"""The study: does a VAE help the classifier? `python -m benchmarks.benefit --help`."""
