"""What a tokenizer does with data: it counts words, measures usage and plans how its vocabulary should change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from tei.counts import Progress, WordCounts, count_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from tei.plan import ResizePlan
    from tei.policy import Bounds, Policy
    from tei.sizing import Size
    from tei.sources import Source
    from tei.tokenizer import Tokenizer
    from tei.usage import Usage

__all__ = ["Fitting"]


class Fitting:
    """The part of `Tokenizer` that looks at data."""

    __slots__ = ()

    def count(
        self, source: Source | WordCounts, *, field: str | None = None, progress: Progress | None = None
    ) -> WordCounts:
        """Counts the words of a source as this tokenizer sees them, its added tokens left out.

        Args:
            source: Texts or files; word counts are given back as they are.
            field: Field (JSONL) or column (CSV) of the texts.
            progress: Called with the number of texts counted so far.

        Raises:
            EmptySourceError: If there is no word in the source.
        """
        if isinstance(source, WordCounts):
            return source
        tokenizer = cast("Tokenizer", self)
        return count_words(source, tokenizer.scheme, field=field, progress=progress, encoder=tokenizer.encoder)

    def usage(self, source: Source | WordCounts, *, field: str | None = None) -> Usage:
        """How often each token is emitted, and how well the vocabulary fits; see [`Usage`][tei.usage.Usage].

        Args:
            source: Texts, files of texts, or word counts.
            field: Field (JSONL) or column (CSV) of the texts.

        Raises:
            EmptySourceError: If there is no word in the source.
            MismatchError: If the words were counted by another scheme.
        """
        from tei.usage import count_usage

        return count_usage(cast("Tokenizer", self), self.count(source, field=field))

    def plan(
        self,
        source: Source | WordCounts,
        *,
        size: Size = "auto",
        grow: int | Literal["auto"] = 0,
        policy: Policy | None = None,
        weights: ArrayLike | None = None,
        protect: Iterable[str] = (),
        held_out: Source | WordCounts | None = None,
        base: Source | WordCounts | None = None,
        bounds: Bounds | None = None,
        pad_to_multiple_of: int | None = None,
    ) -> ResizePlan:
        """Plans which tokens to drop and which to add; see [`plan_resize`][tei.planning.plan_resize].

        Args:
            source: Texts, files of texts, or word counts to fit to.
            size: Number of tokens to keep, `auto`: as few as the bounds allow on held-out words, or a
                [`Budget`][tei.sizing.Budget] of parameters, bytes or time.
            grow: Number of tokens to add after that, or `auto`: as many as pay.
            policy: Decides instead of `size` and `grow`: one of [`tei.policy`][tei.policy], or your own.
            weights: Embedding rows `[vocab_size or more, dim]` of the model that will follow.
            protect: Tokens to keep in any case, beside special tokens and the alphabet.
            held_out: Other text of the same kind, by which `auto` judges a size.
            base: Text that new tokens must leave as it is.
            bounds: How far `auto` may go.
            pad_to_multiple_of: The new size is a multiple of this, as far as there are tokens to keep.

        Raises:
            EmptySourceError: If there is no word in a source.
            MismatchError: If counts, weights or protected tokens do not belong to this tokenizer.
            SizeError: If the size cannot be reached.

        Example:
            >>> from tei import Tokenizer
            >>> texts = ["low lower lowest", "new newer newest"]
            >>> tok = Tokenizer.train(texts, vocab_size=33, min_count=1)
            >>> plan = tok.plan(["low lower"], size="auto", grow=1)
            >>> tok.apply(plan).encode("lower").tokens
            ['lower']
        """
        from tei.planning import plan_resize

        return plan_resize(
            cast("Tokenizer", self),
            self.count(source),
            size=size,
            grow=grow,
            policy=policy,
            weights=weights,
            protect=protect,
            held_out=None if held_out is None else self.count(held_out),
            base=None if base is None else self.count(base),
            bounds=bounds,
            pad_to_multiple_of=pad_to_multiple_of,
        )
