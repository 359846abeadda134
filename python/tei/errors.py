"""What can go wrong: every error tei raises on purpose is a [`TeiError`][tei.errors.TeiError].

A message names the culprit, the value, the limit and the way out. Errors that have a natural built-in parent also
inherit from it, so `except ValueError` or `except OSError` keep working. The compiled core raises these same classes.
"""

__all__ = [
    "EmptySourceError",
    "EncodingError",
    "FileFormatError",
    "InvalidInputError",
    "MismatchError",
    "OutputError",
    "OutputExistsError",
    "SizeError",
    "StorageError",
    "TeiError",
    "UnsupportedError",
    "VocabularyError",
]


class TeiError(Exception):
    """Base class of every error tei raises on purpose."""


class InvalidInputError(TeiError, ValueError):
    """An argument has a value that cannot be used: a non-str in a batch, an unknown option."""


class EmptySourceError(TeiError, ValueError):
    """A text source holds no text, or no word."""


class EncodingError(TeiError, ValueError):
    """A file or a byte string is not UTF-8; the message gives the file and the byte offset."""


class FileFormatError(TeiError, ValueError):
    """A file is missing, truncated, altered, or of another format or version than expected."""


class OutputError(TeiError, OSError):
    """An output cannot be written: the disk is full, or writing is not permitted; nothing half-written is left."""


class OutputExistsError(TeiError, FileExistsError):
    """The output path exists and overwriting was not asked for."""


class UnsupportedError(TeiError, ValueError):
    """A tokenizer, model or optimizer of a kind that is not supported; the message says which kinds are."""


class VocabularyError(TeiError, ValueError):
    """A vocabulary is inconsistent: a duplicate, a hole in the ids, no unknown token."""


class SizeError(TeiError, ValueError):
    """A vocabulary size that cannot be reached: below what is protected, or above what the text offers."""


class StorageError(TeiError, OSError):
    """Temporary files cannot be written or read, as on a full disk; the message gives their directory."""


class MismatchError(TeiError, ValueError):
    """Two things that must belong together do not: a plan and a tokenizer, a model and its vocabulary."""
