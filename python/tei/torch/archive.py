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

from tei.errors import FileFormatError, MismatchError
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
        """Makes the mapping read-only.

        Raises:
            MismatchError: A tensor has fewer rows than there are tokens.
        """
        for name, tensor in self.tensors.items():
            if len(tensor) < len(self.tokens):
                raise MismatchError(f"the archive has {len(tensor)} rows of {name!r} for {len(self.tokens)} tokens")
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    @property
    def row_hashes(self) -> dict[str, str]:
        """For each dropped token 16 hexadecimal digits that change with any of its rows; the history keeps them."""
        if not self.tokens:
            return {}
        digests = [hashlib.blake2b(digest_size=8) for _ in self.tokens]
        for name in sorted(self.tensors):
            rows = self.tensors[name][: len(self.tokens)].contiguous().view(torch.uint8)
            for digest, row in zip(digests, rows.reshape(len(self.tokens), -1).numpy(), strict=True):
                digest.update(row.tobytes())
        return {token: digest.hexdigest() for token, digest in zip(self.tokens, digests, strict=True)}

    def merged(self, later: "Archive") -> "Archive":
        """This archive with the rows of a later one, so that any token that was ever dropped can return.

        A token in both has the later rows. State that an optimizer did not have yet is zero, as that of new rows.

        Raises:
            MismatchError: If the two hold rows of different shapes.
        """
        names = dict.fromkeys([*self.tensors, *later.tensors])
        again = set(later.tokens)
        places = [i for i, token in enumerate(self.tokens) if token not in again]
        tensors = {}
        for name in names:
            mine, theirs = self._rows_of(name, later), later._rows_of(name, self)
            if mine.shape[1:] != theirs.shape[1:]:
                shapes = f"{tuple(mine.shape[1:])} and {tuple(theirs.shape[1:])}"
                raise MismatchError(f"archives with rows of shape {shapes} for {name!r} cannot be merged")
            # Of two types the one that holds both exactly.
            kind = torch.promote_types(mine.dtype, theirs.dtype)
            parts = [mine[places], theirs[: len(later.tokens)], mine[len(self.tokens) :]]
            tensors[name] = torch.cat([part.to(kind) for part in parts])
        tokens = (*(self.tokens[i] for i in places), *later.tokens)
        return Archive(self.source_fingerprint, later.target_fingerprint, tokens, self.rows, tensors)

    def _rows_of(self, name: str, other: "Archive") -> Tensor:
        """The rows of a tensor, zero ones if only the other archive has it."""
        if name in self.tensors:
            return self.tensors[name]
        length = len(next(iter(self.tensors.values()))) if self.tensors else len(self.tokens)
        return torch.zeros((length, *other.tensors[name].shape[1:]), dtype=other.tensors[name].dtype)

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
