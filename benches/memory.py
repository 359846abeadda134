"""What a call takes of this process's memory; Linux only, elsewhere not a number."""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path

__all__ = ["peak", "peak_growth", "resident"]

STATUS = Path("/proc/self/status")
# Writing 5 here sets the peak back to what is resident now.
RESET = Path("/proc/self/clear_refs")


def _mebibytes(key: str) -> float:
    if not STATUS.exists():
        return math.nan
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:")), math.nan)


def resident() -> float:
    """MiB of this process that are in memory."""
    return _mebibytes("VmRSS")


def peak() -> float:
    """MiB of this process that were in memory at most; what a parent process took does not count."""
    return _mebibytes("VmHWM")


def peak_growth(call: Callable[[], object]) -> float:
    """MiB that a call took at its peak beyond what was resident before, its result included."""
    if not RESET.exists():
        call()
        return math.nan
    # What others have freed would otherwise be used again, unseen.
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    RESET.write_text("5", encoding="utf-8")
    before = resident()
    call()
    return max(0.0, _mebibytes("VmHWM") - before)
