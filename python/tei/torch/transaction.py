"""All or nothing: a list of small assignments that is undone as a whole when one of them fails."""

from collections.abc import Callable, MutableMapping
from typing import Any

__all__ = ["Transaction"]


class Transaction:
    """Collects assignments to attributes and dictionary items, and makes them together.

    Example:
        >>> numbers = {"a": 1}
        >>> change = Transaction()
        >>> change.item(numbers, "a", 2)
        >>> numbers
        {'a': 1}
        >>> change.commit()
        >>> numbers
        {'a': 2}
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._edits: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def attribute(self, target: object, name: str, value: object) -> None:
        """Plans `target.name = value`."""
        old = getattr(target, name)
        self._edits.append((lambda: setattr(target, name, value), lambda: setattr(target, name, old)))

    def item(self, target: MutableMapping[Any, Any], key: object, value: object) -> None:
        """Plans `target[key] = value`; the key must exist."""
        old = target[key]
        self._edits.append((lambda: target.__setitem__(key, value), lambda: target.__setitem__(key, old)))

    def commit(self) -> None:
        """Makes all assignments in order; if one raises, undoes those made, last first, and raises again."""
        undo: list[Callable[[], None]] = []
        try:
            for make, back in self._edits:
                undo.append(back)
                make()
        except BaseException:
            for back in reversed(undo):
                back()
            raise
