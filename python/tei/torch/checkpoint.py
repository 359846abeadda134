"""Checkpoints of a run: each is whole or absent, whenever the process is killed, and none is a pickle."""

import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from tei.errors import FileFormatError, InvalidInputError, MismatchError, TeiError
from tei.files import atomic_directory, dump_document, load_document, write_atomic

__all__ = ["Checkpoints", "RandomState", "Stateful"]

KIND, VERSION = "checkpoint", 1
STATE, TENSORS = "state.json", "tensors.safetensors"
NAME = re.compile(r"step-(\d{9})")


class Stateful(Protocol):
    """Whatever can be saved and goes on: models, optimizers, schedulers, loaders."""

    def state_dict(self) -> Mapping[str, Any]:
        """What it is now."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Makes it what it was."""


class RandomState:
    """The random number generators of torch (also of its devices), numpy and Python, as a part of a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """Their states."""
        kind, numbers, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 -- the one that other libraries use
        return {
            "python": random.getstate(),
            "numpy": [kind, torch.from_numpy(np.asarray(numbers).astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
            "devices": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Makes them go on from a state."""
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        kind, values, *rest = state["numpy"]
        np.random.set_state((kind, values.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        torch.set_rng_state(state["torch"])
        if state["devices"]:
            torch.cuda.set_rng_state_all(state["devices"])


class Checkpoints:
    """Saves the parts of a run together, and finds the newest whole checkpoint after any interruption.

    A checkpoint is a directory `step-<number>` that appears by one rename when it is complete; older ones are removed
    after that. A `VocabularyScheduler` must come before its model, whose rows it makes as many as they were.

    Args:
        directory: Where the checkpoints are; made when missing.
        parts: Named parts in the order in which they are loaded, for example
            `{"vocabulary": scheduler, "model": model, "optimizer": optimizer, "loader": loader, "random": RandomState()}`.
        keep: How many of the newest checkpoints stay.

    Raises:
        InvalidInputError: `keep` is less than 1.

    Example:
        >>> import tempfile
        >>> folder, model = tempfile.TemporaryDirectory(), torch.nn.Linear(1, 1)
        >>> checkpoints = Checkpoints(folder.name, {"model": model})
        >>> _ = checkpoints.save(5)
        >>> torch.nn.init.zeros_(model.weight).item(), checkpoints.resume(), model.weight.item() == 0
        (0.0, 5, False)
        >>> folder.cleanup()
    """

    def __init__(self, directory: str | Path, parts: Mapping[str, Stateful], *, keep: int = 2) -> None:
        if keep < 1:
            raise InvalidInputError(f"keep is {keep}, must be at least 1")
        self._directory, self._parts, self._keep = Path(directory), dict(parts), keep

    def save(self, step: int) -> Path:
        """Writes a checkpoint.

        Args:
            step: Its number, from 0; one of this number is replaced.

        Returns:
            Its directory.

        Raises:
            InvalidInputError: A part's state holds something else than tensors and plain values.
        """
        tensors: dict[str, Tensor] = {}
        states = {name: _flat(part.state_dict(), name, tensors) for name, part in self._parts.items()}
        target = self._directory / f"step-{step:09d}"
        with atomic_directory(target, overwrite=True) as folder:
            data = safetensors.torch.save(tensors)
            write_atomic(folder / TENSORS, data)
            record = {"step": step, "tensors": _checksum(data), "states": states}
            write_atomic(folder / STATE, dump_document(KIND, VERSION, record))
        self._tidy()
        return target

    def steps(self) -> list[int]:
        """Numbers of the whole checkpoints, ascending."""
        if not self._directory.is_dir():
            return []
        found = (NAME.fullmatch(path.name) for path in self._directory.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def resume(self, step: int | None = None) -> int | None:
        """Loads a checkpoint into the parts.

        Args:
            step: Its number; None for the newest.

        Returns:
            Its number; None if there is none, and nothing was changed.

        Raises:
            FileFormatError: It is missing or damaged.
            MismatchError: It is of another vocabulary, or of other parts.
        """
        steps = self.steps()
        if step is None and not steps:
            return None
        folder = self._directory / f"step-{steps[-1] if step is None else step:09d}"
        record = load_document(folder / STATE, KIND, version=VERSION)
        tensors = _read_tensors(folder / TENSORS, record["tensors"])
        if set(record["states"]) != set(self._parts):
            raise MismatchError(f"{str(folder)!r} holds {sorted(record['states'])}, not {sorted(self._parts)}")
        for name, part in self._parts.items():
            try:
                part.load_state_dict(_deep(record["states"][name], tensors))
            except (RuntimeError, KeyError, ValueError, TypeError) as error:
                if isinstance(error, TeiError):
                    raise
                raise MismatchError(f"{name!r} in {str(folder)!r} does not fit: {error}") from error
        return int(record["step"])

    def _tidy(self) -> None:
        for step in self.steps()[: -self._keep]:
            shutil.rmtree(self._directory / f"step-{step:09d}", ignore_errors=True)
        # What a killed process has left behind; nobody else writes here.
        for path in self._directory.glob(".step-*"):
            shutil.rmtree(path, ignore_errors=True)


def _flat(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON values for anything a state holds; tensors are put aside under their names."""
    if isinstance(value, Tensor):
        # Tied weights share their memory, which the file format refuses; each is written out.
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"map": [[_flat(k, name, tensors), _flat(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_flat(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
        return {"list": items} if isinstance(value, list) else {"tuple": items}
    if isinstance(value, float):
        # Not-a-number and the infinities are no JSON; the hexadecimal form is exact.
        return {"float": value.hex()}
    if value is None or isinstance(value, str | bool | int):
        return value
    raise InvalidInputError(f"{name!r} is {type(value).__name__}; a checkpoint holds tensors and plain values")


def _deep(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `_flat`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float.fromhex(content)
    if kind == "map":
        return {_deep(k, tensors): _deep(v, tensors) for k, v in content}
    items = [_deep(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)


def _read_tensors(path: Path, checksum: str) -> dict[str, Tensor]:
    try:
        data = path.read_bytes()
        if _checksum(data) != checksum:
            raise FileFormatError(
                f"{str(path)!r} was altered: its checksum does not fit; resume from an older checkpoint"
            )
        return safetensors.torch.load(data)
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"cannot read {str(path)!r}: {error}") from error


def _checksum(data: bytes) -> str:
    import hashlib

    return hashlib.blake2b(data, digest_size=8).hexdigest()
