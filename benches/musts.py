"""Measure every must and say whether it holds: `python benches/musts.py [name ...] [--issue N] [--quick] [--seeds N]`.

Needs the extra `bench` and the external text sets (environment variable TEI_DATA). Exit status 1 if a bound is broken.
"""

import argparse
import os
import platform
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Spinning threads would measure what else runs on the machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Importing a module of musts registers them.
from must import (  # noqa: F401
    REGISTRY,
    Must,
    Options,
    continual,
    encoding,
    encoding_bounds,
    encoding_ids,
    induction,
    main_job,
    policy,
    policy_steps,
    streaming,
    tracking,
    training,
)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure every must and say whether it holds.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"musts to measure (all): {', '.join(REGISTRY)}")
    parser.add_argument("--issue", type=int, help="only the musts of this issue")
    parser.add_argument(
        "--quick", action="store_true", help="fewer texts, one seed: shows that it runs, proves nothing"
    )
    parser.add_argument("--seeds", type=int, default=3, help="repetitions of whatever is random (3)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - REGISTRY.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(REGISTRY)}")
    return arguments


def _chosen(arguments: argparse.Namespace) -> list[Must]:
    named = [REGISTRY[name] for name in arguments.names] or list(REGISTRY.values())
    return [entry for entry in named if arguments.issue in (None, entry.issue)]


def _measure(entry: Must, options: Options) -> bool:
    start = time.perf_counter()
    result = entry.measure(options)
    kept = entry.holds(result.value)
    peer = "-" if result.peer is None else f"{result.peer:.6g}"
    bound = f"{entry.sense} {entry.limit:g} {entry.unit}"
    seconds = f"{time.perf_counter() - start:.0f} s"
    verdict = "holds" if kept else "BROKEN"
    print(
        f"{entry.issue:>5}  {entry.name:<28} {result.value:>12.6g} {peer:>10}  {bound:<18} {verdict:<7} {seconds:>7}  "
        f"{result.note}",
        flush=True,
    )
    return kept


def main() -> int:
    """Run the chosen musts one after the other.

    Returns:
        0 if all hold, 1 otherwise.
    """
    arguments = _parse()
    options = Options(quick=arguments.quick, seeds=1 if arguments.quick else arguments.seeds)
    quick = ", QUICK: no claim" if options.quick else ""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, seeds {options.seeds}{quick}"
    )
    print(f"issue  {'must':<28} {'value':>12} {'peer':>10}  {'bound':<18} verdict    took  note")
    verdicts = [_measure(entry, options) for entry in _chosen(arguments)]
    print(f"{sum(verdicts)} of {len(verdicts)} hold")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
