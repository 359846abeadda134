"""A tokenizer that follows a vocabulary while it changes, in this process and in the workers of a data loader."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tei.encoding import Batch
from tei.pretrained import TokenizerSpec
from tei.tokenizer import Tokenizer
from tei.torch.channel import Channel, Position

__all__ = ["Follower", "VersionedBatch", "publish_all", "publish_change"]


class VersionedBatch(Batch):
    """Model inputs that know the version of the vocabulary that made them.

    Attributes:
        version: How often the vocabulary had changed in the run.
    """

    version: int = 0

    @classmethod
    def of(cls, items: Mapping[str, Any], version: int) -> "VersionedBatch":
        """A batch of these items and this version."""
        batch = cls(items)
        batch.version = version
        return batch

    def __reduce__(self) -> tuple[Any, ...]:
        return VersionedBatch.of, (dict(self), self.version)

    def to(self, device: Any) -> "VersionedBatch":
        """The batch with every tensor moved to a device."""
        return VersionedBatch.of(super().to(device), self.version)


class Follower:
    """Encodes with the newest vocabulary of a run; each call sees one version from its beginning to its end.

    Args:
        tokenizer: The tokenizer at the channel's end.
        channel: Where changes are published.
    """

    def __init__(self, tokenizer: Tokenizer, channel: Channel) -> None:
        self._channel = channel
        self._at = channel.position
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> Tokenizer:
        """The newest tokenizer."""
        return self.current()[0]

    def current(self) -> tuple[Tokenizer, int]:
        """The newest tokenizer and its version."""
        if self._channel.version != self._at.version:
            changes, at = self._channel.read(self._at)
            for change in changes:
                self._tokenizer = _changed(self._tokenizer, change)
            self._at = at
        return self._tokenizer, self._at.version

    def __call__(self, texts: Any, text_pair: Any = None, **options: Any) -> VersionedBatch:
        """Texts → model inputs, as `Tokenizer` does it."""
        tokenizer, version = self.current()
        return VersionedBatch.of(tokenizer(texts, text_pair, **options), version)

    def __getstate__(self) -> tuple[Tokenizer, Channel, Position]:
        return self._tokenizer, self._channel, self._at

    def __setstate__(self, state: tuple[Tokenizer, Channel, Position]) -> None:
        self._tokenizer, self._channel, self._at = state


def publish_change(
    channel: Channel,
    version: int,
    tokenizer: Tokenizer,
    *,
    added: Sequence[str],
    restored: Iterable[int],
    retired: Iterable[int],
) -> None:
    """Tells followers what `Tokenizer.revised` was called with; `tokenizer` is what it gave."""
    change = {"added": list(added), "restored": sorted(restored), "retired": sorted(retired)}
    if not channel.publish(version, change):
        publish_all(channel, version, tokenizer)


def publish_all(channel: Channel, version: int, tokenizer: Tokenizer) -> None:
    """Tells followers a whole vocabulary."""
    channel.restart(version, {"tokens": list(tokenizer.tokens), "retired": sorted(tokenizer.retired)})


def _changed(tokenizer: Tokenizer, change: dict[str, Any]) -> Tokenizer:
    if "tokens" in change:
        return with_tokens(tokenizer, change["tokens"], change["retired"])
    return tokenizer.revised(change["added"], restored=change["restored"], retired=change["retired"])


def with_tokens(tokenizer: Tokenizer, tokens: Sequence[str], retired: Iterable[int] = ()) -> Tokenizer:
    """The tokenizer with other tokens and the same rules."""
    known = set(tokens)
    kept = tuple(token for token in tokenizer.spec.added_tokens if token.content in known)
    spec: TokenizerSpec = replace(tokenizer.spec, tokens=tuple(tokens), added_tokens=kept)
    return Tokenizer(spec, version=tokenizer.version, history=tokenizer.history, retired=retired)
