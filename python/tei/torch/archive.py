"""The rows that a plan dropped, kept so that the way back is exact."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tei.errors import FileFormatError
from tei.files import dump_document, parse_document, write_atomic

__all__ = ["Archive"]

KIND, VERSION = "archive", 1


@dataclass(frozen=True, eq=False)
class Archive:
    """What `apply` took away: the rows of dropped tokens, then those beyond the vocabulary, of every tensor it resized.

    Attributes:
        source_fingerprint: Fingerprint of the vocabulary the rows come from.
        target_fingerprint: Fingerprint of the vocabulary they were dropped for.
        tokens: The dropped tokens, in the order of their rows.
        rows: Number of embedding rows before, at least the number of tokens.
        tensors: For each tensor by name, its rows on the CPU, `[len(tokens) + padding, …]`.
    """

    source_fingerprint: str
    target_fingerprint: str
    tokens: tuple[str, ...]
    rows: int
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        """Makes the mapping read-only."""
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def joined(self, older: "Archive") -> "Archive":
        """This archive and, for tokens that it does not hold, the rows of an older one of the same model."""
        mine = set(self.tokens)
        places = [i for i, token in enumerate(older.tokens) if token not in mine]
        count = len(self.tokens)
        tensors = {}
        for name, rows in self.tensors.items():
            old = older.tensors.get(name)
            # An optimizer that had not stepped yet knew nothing of the older rows.
            more = rows.new_zeros((len(places), *rows.shape[1:])) if old is None else old[places]
            tensors[name] = torch.cat([rows[:count], more, rows[count:]])
        tokens = (*self.tokens, *(older.tokens[i] for i in places))
        return Archive(self.source_fingerprint, self.target_fingerprint, tokens, self.rows, tensors)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a safetensors file whose metadata name the tokens and carry checksums; atomic."""
        payload = {
            "source_fingerprint": self.source_fingerprint,
            "target_fingerprint": self.target_fingerprint,
            "tokens": list(self.tokens),
            "rows": self.rows,
            "checksums": {name: _checksum(tensor) for name, tensor in self.tensors.items()},
        }
        document = dump_document(KIND, VERSION, payload).decode("ascii")
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        write_atomic(path, safetensors.torch.save(tensors, {"tei": document}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file written by `save`.

        Raises:
            FileFormatError: The file is missing, truncated, altered, of another kind or a newer version.
        """
        name = os.fspath(Path(path))
        try:
            with safe_open(name, framework="pt") as file:
                document = (file.metadata() or {}).get("tei", "")
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        except (OSError, SafetensorError) as error:
            raise FileFormatError(f"cannot read archive {name!r}: {error}") from error
        payload = parse_document(document.encode(), KIND, version=VERSION, name=name)
        checksums = payload.pop("checksums")
        if checksums != {key: _checksum(tensor) for key, tensor in tensors.items()}:
            raise FileFormatError(f"archive {name!r} was altered: a checksum does not fit its rows")
        return cls(**{**payload, "tokens": tuple(payload["tokens"])}, tensors=tensors)


def _checksum(tensor: Tensor) -> str:
    digest = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=8)
    digest.update(safetensors.torch.save({"": tensor.contiguous()}))
    return digest.hexdigest()
