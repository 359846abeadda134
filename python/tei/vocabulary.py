"""Token ↔ id, and the fingerprint that says which vocabulary a file or a model belongs to."""

from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["Vocabulary", "digest", "fingerprint", "rules"]


class Vocabulary(Mapping[str, int]):
    """An immutable map from token to id, dense from 0, in id order.

    Example:
        >>> vocabulary = Vocabulary(["[UNK]", "play", "##ing"])
        >>> vocabulary["play"], vocabulary.tokens[2], "x" in vocabulary
        (1, '##ing', False)
    """

    __slots__ = ("_ids", "tokens")

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}

    def __getitem__(self, token: str) -> int:
        return self._ids[token]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens)"


def fingerprint(tokens: Sequence[str], scheme: str) -> str:
    """16 hexadecimal digits of the tokens in id order and the rules they are used with.

    Args:
        tokens: Tokens in id order.
        scheme: Canonical text of everything else that decides the ids.

    Example:
        >>> fingerprint(["a"], "x") == fingerprint(["a"], "x") != fingerprint(["b"], "x")
        True
    """
    encoded = (token.encode("utf-8", "surrogatepass") for token in tokens)
    return digest(b"".join(len(token).to_bytes(4, "little") + token for token in encoded), scheme)


def digest(framed: bytes, scheme: str) -> str:
    """The fingerprint of tokens that stand one after the other in bytes, each after its length in four bytes."""
    import hashlib

    return hashlib.blake2b(scheme.encode("utf-8", "surrogatepass") + framed, digest_size=8).hexdigest()


def rules(scheme: str, retired: Collection[int]) -> str:
    """All that decides ids beside the tokens: the scheme, and which tokens are never emitted."""
    return f"{scheme} without {sorted(retired)}" if retired else scheme
