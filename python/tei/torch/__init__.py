"""Resize plans on live torch models, and training with the result; only this package imports torch."""

from tei.torch.apply import apply
from tei.torch.archive import Archive
from tei.torch.data import Collate, TextClassificationDataset
from tei.torch.fidelity import Fidelity, fidelity
from tei.torch.fine_tune import FineTuned, fine_tune
from tei.torch.models import BagOfTokens

__all__ = [
    "Archive",
    "BagOfTokens",
    "Collate",
    "Fidelity",
    "FineTuned",
    "TextClassificationDataset",
    "apply",
    "fidelity",
    "fine_tune",
]
