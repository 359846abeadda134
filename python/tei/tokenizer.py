"""`Tokenizer`: text to ids and back, training, usage, plans; immutable."""

# Reading, writing and training are imported where they are used: they would double the time of `import tei`.
from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from tei import _core
from tei.coding import Coding, compiled
from tei.counts import WordCounts, count_words
from tei.errors import MismatchError, UnsupportedError
from tei.fitting import Fitting
from tei.vocabulary import digest, rules

if TYPE_CHECKING:
    import os

    from tei.history import Entry
    from tei.plan import ResizePlan
    from tei.pretrained import TokenizerSpec
    from tei.scheme import Scheme
    from tei.sources import Source
    from tei.torch.archive import Archive

__all__ = ["Tokenizer"]


class Tokenizer(Coding, Fitting):
    """Encodes text by longest match over a vocabulary, and plans how that vocabulary should change.

    A tokenizer never changes; [`apply`][tei.tokenizer.Tokenizer.apply] gives a new one with the next version number.
    Build one with `train`, `from_pretrained` or `load`.

    Example:
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> tok.decode(tok.encode("lower newest").ids)
        'lower newest'
    """

    def __init__(
        self,
        spec: TokenizerSpec,
        *,
        version: int = 0,
        history: Sequence[Entry] = (),
        retired: Iterable[int] = (),
        encoder: _core.Encoder | None = None,
    ) -> None:
        self._retired = frozenset(retired)
        if encoder is None and self._retired:
            encoder = compiled(spec).revised([], [], sorted(self._retired))
        super().__init__(spec, encoder)
        self._version = version
        self._history = tuple(history)

    @classmethod
    def train(
        cls,
        source_or_counts: Source | WordCounts,
        vocab_size: int = 8_000,
        *,
        scheme: Scheme | None = None,
        special_tokens: Sequence[str] | None = None,
        required_tokens: Sequence[str] = (),
        min_count: int = 2,
        limit_alphabet: int | None = None,
        max_token_bytes: int | None = None,
        quality: bool = True,
        field: str | None = None,
        threads: int | None = None,
        memory_limit: int | str | None = None,
    ) -> Self:
        """Induces a vocabulary from text; see [`tei.training`][tei.training] for the rules.

        Args:
            source_or_counts: Word counts, or an iterable of str, a path, or a list of paths.
            vocab_size: Number of tokens, special ones and alphabet included.
            scheme: How text becomes words; that of the counts, or `Scheme.bert()`, if None.
            special_tokens: Tokens with the first ids; `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]` if None.
            required_tokens: Tokens that the vocabulary has whatever the text says.
            min_count: Characters and pairs that occur fewer times get no token; at least 1.
            limit_alphabet: Only so many characters get tokens, the most frequent ones; all if None.
            max_token_bytes: No other token of several characters has more bytes; no limit if None.
            quality: Choose tokens by what new text needs; if False, take the merges as they come.
            field: The field (JSONL) or column (CSV) that holds the text; `text` if None.
            threads: Number of threads that count words; None chooses. The result never depends on it.
            memory_limit: Memory for counting words, in bytes or as in `"256 MiB"`; no limit if None.

        Raises:
            EmptySourceError: If there is no word in the source.
            InvalidInputError: If a bound is below 1, or a limit is none.
            MismatchError: If the words were counted with another scheme.
            SizeError: If the size is below special tokens and alphabet, or above what the text offers.
            VocabularyError: If special tokens conflict, or a required one could never be met in a text.

        Example:
            >>> Tokenizer.train(["to be or not to be"], vocab_size=22, min_count=1).encode("note bore").tokens
            ['not', '##e', 'b', '##o', '##r', '##e']
        """
        from tei.training import train_spec

        counts = source_or_counts
        if not isinstance(counts, WordCounts):
            counts = count_words(counts, scheme, field=field, threads=threads, memory_limit=memory_limit)
        return cls(
            train_spec(
                counts,
                vocab_size=vocab_size,
                scheme=scheme,
                special_tokens=special_tokens,
                required_tokens=required_tokens,
                min_count=min_count,
                limit_alphabet=limit_alphabet,
                max_token_bytes=max_token_bytes,
                quality=quality,
            )
        )

    @classmethod
    def from_pretrained(cls, source: Any) -> Self:
        """Takes over a WordPiece tokenizer; ids stay equal to the original's.

        Args:
            source: A `tokenizer.json`, a `vocab.txt`, a directory that holds one of them, a `tokenizers.Tokenizer`, or
                a fast tokenizer of transformers. Nothing is downloaded. Version and history come along from the
                directory of a tokenizer that tei saved, unless its files were changed since.

        Raises:
            FileFormatError: If a file is missing or broken, the history among them.
            UnsupportedError: If the tokenizer is of a kind that cannot be reproduced exactly; the message names it.
            VocabularyError: If the vocabulary has holes or duplicates.
        """
        from tei import saved

        spec, version, history = saved.take_over(source)
        return cls(spec, version=version, history=history)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """Loads what [`save`][tei.tokenizer.Tokenizer.save] wrote.

        Raises:
            FileFormatError: If a file is missing, altered, or of a newer version.
        """
        from tei import saved

        spec, version, history = saved.load(directory)
        return cls(spec, version=version, history=history)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`, `vocab.txt` and `tei.json`.

        transformers' `AutoTokenizer` and `tokenizers` open the directory with equal ids. Each file is replaced
        atomically; other files in the directory stay.

        Raises:
            OutputError: If a file cannot be written, as on a full disk.
            OutputExistsError: If `directory` is a file.
            UnsupportedError: If tokens are retired, which no other library would know; any plan drops them.
        """
        from tei import saved

        if self._retired:
            msg = f"{len(self._retired)} retired tokens cannot be saved: apply a plan first, which drops them"
            raise UnsupportedError(msg)
        saved.save(directory, self._spec, version=self.version, history=self._history)

    def to_hf(self) -> Any:
        """The tokenizer as a `transformers.PreTrainedTokenizerFast` with the same ids; needs transformers."""
        from tei import saved

        return saved.to_transformers(self._spec)

    @property
    def version(self) -> int:
        """How many plans have been applied."""
        return self._version

    @property
    def history(self) -> tuple[Entry, ...]:
        """What each applied plan did, oldest first.

        Each entry has `version`, `reason`, `source` and `target` (fingerprints), `kept` (number of tokens), `dropped` and
        `added` (tokens; `dropped_ids` and `added_ids` their ids), and `rows` (hashes of dropped rows by token, if an
        archive was given).
        """
        return tuple(copy.deepcopy(self._history))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the vocabulary or the scheme."""
        return digest(_core.framed(self._encoder, [], []), rules(self._spec.scheme.to_json(), self._retired))

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size} tokens, version {self.version}, {self.fingerprint})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._spec, self._version, self._history, self._retired)

    @property
    def retired(self) -> frozenset[int]:
        """Ids of tokens that keep their place and are never emitted, see [`revised`][tei.tokenizer.Tokenizer.revised]."""
        return self._retired

    def revised(self, added: Sequence[str] = (), *, restored: Iterable[int] = (), retired: Iterable[int] = ()) -> Self:
        """The tokenizer with a few tokens more or less, while every id stays what it was; quick, and no plan.

        This is for vocabularies that change while training goes on, where batches are under way that hold old ids.

        Args:
            added: New tokens; their ids follow the last one.
            restored: Ids of retired tokens that are emitted again.
            retired: Ids of tokens that are never emitted any more.

        Raises:
            MismatchError: If a special or added token would be retired.
            UnsupportedError: If a token of the bytes scheme would be retired.
            VocabularyError: If an added token is there already.

        Example:
            >>> tok = Tokenizer.train(["to be or not to be"], vocab_size=22, min_count=1).revised(["tobe"])
            >>> tok.encode("tobe").ids, tok.revised(retired=[22]).encode("tobe").tokens
            ([22], ['to', '##b', '##e'])
        """
        restored, retired = sorted(restored), sorted(retired)
        # Byte strings are compiled as a whole, and cannot be retired.
        anew = self.scheme.is_lossless and not (restored or retired)
        if retired:
            declared = [token.content for token in self._spec.added_tokens]
            needed = {self.vocab[token] for token in (*self.special_tokens, *declared)}
            lost = [self.tokens[i] for i in retired if i in needed]
            if lost:
                msg = f"special tokens {lost} cannot be retired: protect them when planning"
                raise MismatchError(msg)
        changed = type(self)(
            replace(self._spec, tokens=(*self.tokens, *added)),
            version=self.version,
            history=self._history,
            retired=self._retired.difference(restored).union(retired),
            encoder=None if anew else self._encoder.revised(list(added), restored, retired),
        )
        # Special ids stay, so what options come to stays, too.
        changed.plans = dict(self.plans)
        return changed

    def apply(self, plan: ResizePlan, *, reason: str = "", archive: Archive | None = None) -> Self:
        """The tokenizer after a plan, with the next version number.

        Args:
            plan: A plan made for this tokenizer.
            reason: Why, for the history; a line of what happened if empty.
            archive: The rows that `tei.torch.apply` dropped by the same plan; the history keeps their hashes.

        Raises:
            MismatchError: If plan or archive are of another vocabulary, or the plan drops a special token.

        Example:
            >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
            >>> small = tok.apply(tok.plan(["low lower"], size=30), reason="only low")
            >>> small.vocab_size, small.version, small.history[-1]["reason"], small.at(0).tokens == tok.tokens
            (30, 1, 'only low', True)
        """
        from tei import history

        plan.check_source(self.fingerprint)
        if plan.source != self.tokens:
            msg = "the plan's source tokens are not the tokenizer's, although it names its fingerprint: make a new plan"
            raise MismatchError(msg)
        lost = [] if plan.keeps_all else [token for token in self.special_tokens if token not in set(plan.target)]
        if lost:
            msg = f"the plan drops special tokens {lost}: protect them when planning"
            raise MismatchError(msg)
        if archive is not None and archive.source_fingerprint != plan.source_fingerprint:
            msg = f"the archive is of vocabulary {archive.source_fingerprint}: give what tei.torch.apply dropped by this plan"
            raise MismatchError(msg)
        entry = history.entry_of(
            self._spec,
            plan,
            retired=self._retired,
            version=self.version + 1,
            reason=reason,
            rows={} if archive is None else archive.row_hashes,
        )
        spec = history.applied(self._spec, plan, self._history)
        retired = [int(plan.id_map[i]) for i in self._retired if plan.id_map[i] >= 0]
        # Building an encoder anew would take most of the time of a small change; that of bytes has more to it than tokens.
        quick = plan.keeps_all and not self.scheme.is_lossless
        encoder = self._encoder.revised(list(plan.target[len(plan.source) :]), [], []) if quick else None
        entries = (*self._history, entry)
        return type(self)(spec, version=self.version + 1, history=entries, retired=retired, encoder=encoder)

    def at(self, version: int) -> Self:
        """The tokenizer as it was at an earlier version.

        Args:
            version: From that of the tokenizer that plans were first applied to, to the present one.

        Raises:
            FileFormatError: If the saved history does not lead there.
            InvalidInputError: If the history does not reach back so far.
            MismatchError: If the tokenizer was revised after its last plan.
        """
        from tei import history

        history.check_version(version, self.version, self.version - len(self._history))
        if version == self.version:
            return self
        entries = list(self._history)
        if self.fingerprint != entries[-1]["target"]:
            msg = f"the last plan gave vocabulary {entries[-1]['target']}, this is {self.fingerprint}: it was revised since"
            raise MismatchError(msg)
        spec, retired = self._spec, sorted(self._retired)
        for _ in range(self.version - version):
            spec, retired = history.undone(spec, entries.pop())
        return type(self)(spec, version=version, history=entries, retired=retired)


def _rebuild(
    cls: type[Tokenizer], spec: TokenizerSpec, version: int, history: Sequence[Entry], retired: Iterable[int] = ()
) -> Tokenizer:
    return cls(spec, version=version, history=history, retired=retired)
