"""Sizes of memory as people write them."""

import re

from tei.errors import InvalidInputError

__all__ = ["parse_bytes"]

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_bytes(size: int | str) -> int:
    """A number of bytes.

    Args:
        size: An integer, or a number with a unit, from `B` to `GB` (powers of 1,000) or `GiB` (powers of 1,024).

    Raises:
        InvalidInputError: If it is something else, or below 1.

    Example:
        >>> parse_bytes("256 MiB"), parse_bytes("1.5kB"), parse_bytes(7)
        (268435456, 1500, 7)
    """
    match = re.fullmatch(r"([0-9.]+)\s*([a-zA-Z]*)", str(size).strip())
    try:
        amount = int(float(match[1]) * UNITS[match[2].upper()]) if match else 0
    except (KeyError, ValueError):
        amount = 0
    if amount < 1:
        msg = f"size is {size!r}, must be a number of bytes such as 268435456 or '256 MiB'"
        raise InvalidInputError(msg)
    return amount
