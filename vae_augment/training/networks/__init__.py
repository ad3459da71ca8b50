"""The networks that `fit` trains."""
