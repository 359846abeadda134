"""Fit a Transformer's sub-word vocabulary, and the embedding rows behind it, to the data it is used on.

Example:
    >>> import tei
    >>> tok = tei.Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
    >>> tok.encode("Lower newest").tokens
    ['lower', 'newest']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tei import _core
from tei.counts import WordCounts, count_words
from tei.encoding import Batch, Encoding, Ragged
from tei.errors import (
    EmptySourceError,
    EncodingError,
    FileFormatError,
    InvalidInputError,
    MismatchError,
    OutputError,
    OutputExistsError,
    SizeError,
    StorageError,
    TeiError,
    UnsupportedError,
    VocabularyError,
)
from tei.scheme import Scheme
from tei.tokenizer import Tokenizer
from tei.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tei.continuation import Tracker
    from tei.plan import ResizePlan
    from tei.shards import TokenShards
    from tei.torch.adapt import adapt

# What is loaded when it is first asked for: `import tei` stays quick, and free of torch.
LAZY = {
    "ResizePlan": "tei.plan",
    "TokenShards": "tei.shards",
    "Tracker": "tei.continuation",
    "adapt": "tei.torch.adapt",
}

__version__ = _core.VERSION

__all__ = [
    "Batch",
    "EmptySourceError",
    "Encoding",
    "EncodingError",
    "FileFormatError",
    "InvalidInputError",
    "MismatchError",
    "OutputError",
    "OutputExistsError",
    "Ragged",
    "ResizePlan",
    "Scheme",
    "SizeError",
    "StorageError",
    "TeiError",
    "TokenShards",
    "Tokenizer",
    "Tracker",
    "UnsupportedError",
    "Vocabulary",
    "VocabularyError",
    "WordCounts",
    "__version__",
    "adapt",
    "count_words",
]


def __getattr__(name: str) -> Any:
    """Loads what is not loaded with the package."""
    if name in LAZY:
        return getattr(import_module(LAZY[name]), name)
    msg = f"module 'tei' has no attribute {name!r}"
    raise AttributeError(msg)
