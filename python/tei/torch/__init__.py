"""Resize plans on live torch models, and training with the result; only this package imports torch."""

from tei.torch.adapt import Adapted, adapt, adapt_directory, load_model
from tei.torch.apply import apply
from tei.torch.archive import Archive
from tei.torch.callback import VocabularyCallback
from tei.torch.checkpoint import Checkpoints, RandomState
from tei.torch.data import Collate, TextClassificationDataset
from tei.torch.datasets import LengthBuckets, ResumableLoader, TextDataset, TextStream
from tei.torch.distill import Distilled
from tei.torch.distributed import Ranks
from tei.torch.fidelity import Fidelity, fidelity
from tei.torch.fine_tune import FineTuned, fine_tune
from tei.torch.following import VersionedBatch
from tei.torch.models import BagOfTokens
from tei.torch.rows import TrainableRows
from tei.torch.scheduler import VocabularyScheduler
from tei.torch.tasks import TokenClassificationDataset
from tei.torch.tokens import TokenDataset, pad

__all__ = [
    "Adapted",
    "Archive",
    "BagOfTokens",
    "Checkpoints",
    "Collate",
    "Distilled",
    "Fidelity",
    "FineTuned",
    "LengthBuckets",
    "RandomState",
    "Ranks",
    "ResumableLoader",
    "TextClassificationDataset",
    "TextDataset",
    "TextStream",
    "TokenClassificationDataset",
    "TokenDataset",
    "TrainableRows",
    "VersionedBatch",
    "VocabularyCallback",
    "VocabularyScheduler",
    "adapt",
    "adapt_directory",
    "apply",
    "fidelity",
    "fine_tune",
    "load_model",
    "pad",
]
