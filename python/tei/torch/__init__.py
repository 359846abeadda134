"""Resize plans on live torch models, and training with the result; only this package imports torch."""

from tei.torch.apply import apply
from tei.torch.archive import Archive

__all__ = ["Archive", "apply"]
