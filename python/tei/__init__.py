"""Fit a Transformer's sub-word vocabulary, and the embedding rows behind it, to the data it is used on."""

from tei.errors import TeiError

__all__ = ["TeiError"]
