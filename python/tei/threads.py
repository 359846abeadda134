"""How many threads a call may use."""

import os
import sys

from tei import _core

__all__ = ["threads"]


def threads(parallel: bool | None) -> int:  # noqa: FBT001 -- what the argument of that name is
    """Number of threads as the compiled encoder takes it: 0 lets it choose by the size of the batch."""
    if parallel is None:
        return int(_in_worker_process())
    return _core.cpu_count() if parallel else 1


# Where a program has made several processes, each has its share of the work already.
_forked = False


def _mark_forked() -> None:
    global _forked  # noqa: PLW0603 -- the hook of os.register_at_fork has nowhere else to say it
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_forked)


def _in_worker_process() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return _forked or (process is not None and process.parent_process() is not None)
