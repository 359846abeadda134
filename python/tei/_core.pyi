"""
The compiled half of `tei`.
"""

from _typeshed import Incomplete, SupportsGetItem
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final

__all__ = ["VERSION", "Encoder", "RowPlan", "Rows", "TextFile", "Tracker", "WordCounter", "WordCounts", "alphabet", "are_str", "byte_letters", "byte_words", "count_usage", "cpu_count", "forecast", "framed", "grow", "hold_out", "lengths", "normalize", "spell", "split_words", "train", "trim_along", "trim_order"]

VERSION: Final[str]
"""
Version of the package.
"""

@final
class Encoder:
    """
    Encodes text by longest match; immutable, safe to share between threads.
    """
    def __len__(self, /) -> int: ...
    def __new__(cls, /, tokens: SupportsGetItem[int, str], *, unknown_token: str, continuation_prefix: str, rules: tuple[SupportsGetItem[int, SupportsGetItem[int, str]], SupportsGetItem[int, SupportsGetItem[int, str]]], max_word_chars: SupportsIndex, added_tokens: SupportsGetItem[int, tuple[SupportsIndex, str, bool, bool, bool, bool, bool]], trim: bool | None = None) -> Encoder:
        """
        Compiles a vocabulary (tokens in id order) and its rules.

        rules: steps of the normalizer and of the pre-tokenizer, each its name and its arguments.
        trim: whether offsets leave out the blanks at a token's ends (not None), and whether one before the first stays.
        """
    def decode(self, /, ids: Incomplete, skip: Incomplete, joints: tuple[str | None, bool]) -> str:
        """
        Text of ids; `skip` marks the ids that are left out.

        joints: what a token begins with that follows the one before at once, and whether blanks before punctuation are tidied.
        """
    def decode_batch(self, /, ids: Incomplete, row_offsets: Incomplete, skip: Incomplete, joints: tuple[str | None, bool], threads: SupportsIndex) -> list[str]:
        """
        Texts of rows of ids, as `decode` gives them; threads: 0 chooses by the number of ids.
        """
    def decode_bytes(self, /, ids: Incomplete, skip: Incomplete) -> bytes:
        """
        The bytes that ids stand for, in the bytes scheme; `skip` marks the ids that are left out.
        """
    def encode_aligned(self, /, string: Any) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """
        Ids, offsets (in characters of a str, in bytes of bytes) and word numbers of one text.
        """
    def encode_batch(self, /, texts: Any, threads: SupportsIndex, limit: SupportsIndex | None = None) -> tuple[Incomplete, Incomplete]:
        """
        Ids of all texts in one int32 array, and the int64 offsets of the rows in it (one more than there are texts).

        threads: 0 chooses by the size of the batch. limit: how many ids of each text are asked for; None: all.
        """
    def encode_batch_aligned(self, /, texts: Any, threads: SupportsIndex, limit: SupportsIndex | None = None, *, heads: bool = False) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete]:
        """
        As `encode_batch`, and for each id its start and end in characters, one pair after the other, and its word's number.

        heads: whether offsets are trimmed as if each id were the first of a row.
        """
    def revised(self, /, added: SupportsGetItem[int, str], restored: SupportsGetItem[int, SupportsIndex], retired: SupportsGetItem[int, SupportsIndex]) -> Encoder:
        """
        The same encoder with further tokens, whose ids follow the last one; `retired` tokens are never emitted any more,
        `restored` ones are again, their ids stay. Quick: nothing but a copy and a few edits.
        """
    def token(self, /, id: SupportsIndex) -> str | None:
        """
        The token of an id, or None.
        """
    def token_id(self, /, token: str) -> int | None:
        """
        Id of a token, or None.
        """
    def tokens(self, /) -> list[str]:
        """
        Tokens in id order.
        """

@final
class RowPlan:
    """
    How texts become rows: put between special tokens, cut and padded.

    Read once and used for many batches: reading takes as long as encoding a few texts.
    """
    def __new__(cls, /, parts: SupportsGetItem[int, tuple[SupportsIndex | None, SupportsIndex, SupportsIndex, SupportsIndex]], *, truncation: tuple[str, SupportsIndex, SupportsIndex, bool, bool] | None, padding: tuple[SupportsIndex | None, SupportsIndex, bool] | None, pad_id: SupportsIndex | None, columns: SupportsGetItem[int, str], wide: bool) -> RowPlan:
        """
        parts: id of a special token or None, number of the text, token type, token type in further rows of what is cut off.
        truncation: strategy, places for text, stride, whether the rest makes rows of its own, whether ends of texts are kept.
        padding: least width (None: the longest row), multiple, whether it comes first; the id is `pad_id`.
        columns: which of `input_ids`, `token_type_ids`, `attention_mask`, `special_tokens_mask` and `sources` to write;
        `sources` says where each id comes from among the ids of all texts, -1 for special tokens and padding.
        wide: whether items are int64, not int32.
        """
    def assemble(self, /, texts: SupportsGetItem[int, tuple[Incomplete, Incomplete]], threads: SupportsIndex) -> tuple[list[Any], Incomplete, Incomplete | None, int | None]:
        """
        Makes rows of texts that are encoded (ids and row offsets); two of them for pairs.

        Returns the columns, the offsets of rows in them, the text each row is of (None: each is of its own), and the width
        of all rows if it is one.
        """
    def encode(self, /, encoder: Encoder, texts: Any, threads: SupportsIndex, limit: SupportsIndex | None) -> tuple[list[Any], Incomplete, Incomplete | None, int | None]:
        """
        Encodes texts, each for a row, and makes rows of them; as `assemble` after `encode_batch`, at once.
        """

@final
class Rows:
    """
    Rows of ids that grow.
    """
    def __new__(cls, /) -> Rows: ...
    def add(self, /, encoder: Encoder, texts: Any, threads: SupportsIndex) -> None:
        """
        Appends a row for each text; threads: 0 chooses by the size of the batch.
        """
    def read(self, /, encoder: Encoder, file: TextFile, threads: SupportsIndex, limit: SupportsIndex) -> bool:
        """
        Appends a row for each of the next texts of a file, of about `limit` bytes in all; false if they were the last.

        threads: 0 chooses by the limit.
        """
    def take(self, /) -> tuple[Incomplete, Incomplete]:
        """
        The ids and the offsets of the rows in them, which begin anew.
        """

@final
class TextFile:
    """
    A file of texts, read from front to back.
    """
    def __new__(cls, /, path: str | PathLike[str], *, separator: str | None, field: str | None, stream: Any | None = None) -> TextFile:
        """
        Opens a file.

        separator: what stands between two texts; None: the file is one text.
        field: if not None, a line is a JSON object that has the text in this field, and there is no other separator.
        stream: a Python file to read instead of the one at `path`, opened for bytes.
        """
    def skip(self, /, texts: SupportsIndex) -> int:
        """
        Leaves out the next texts; returns how many there were.
        """

@final
class Tracker:
    """
    Words under the vocabulary of an encoder: adding and planning cost what is new, not what is known.

    Each call takes the encoder that the words are segmented by: the first one, or that of the last `apply`.
    """
    def __new__(cls, /, encoder: Encoder, counts: WordCounts, max_pieces: SupportsIndex) -> Tracker:
        """
        Segments each word once; new tokens are made of at most `max_pieces` pieces.
        """
    def add(self, /, encoder: Encoder, counts: WordCounts) -> None:
        """
        Adds counts of new text.
        """
    def alphabet(self, /, encoder: Encoder) -> Incomplete:
        """
        As `alphabet` of all words.
        """
    def apply(self, /, before: Encoder, after: Encoder, id_map: Incomplete) -> None:
        """
        Goes on with the encoder after a plan; `id_map` has the new id of each token before, or -1.
        """
    def counts(self, /) -> WordCounts:
        """
        All words so far.
        """
    def grow(self, /, encoder: Encoder, removed: Incomplete, *, count: SupportsIndex, min_gain: SupportsIndex) -> list[tuple[str, int]]:
        """
        As `grow` of all words.
        """
    def trim_order(self, /, encoder: Encoder, protected: Incomplete, rows: Incomplete | None = None, most: SupportsIndex | None = None) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete]:
        """
        As `trim_order` of all words.
        """
    def usage(self, /) -> tuple[Incomplete, int, int, int, int, int]:
        """
        As `count_usage` of all words.
        """

@final
class WordCounter:
    """
    Counts words batch by batch.
    """
    def __new__(cls, /, memory_limit: SupportsIndex | None = None) -> WordCounter:
        """
        Counts that take more than `memory_limit` bytes go to temporary files.
        """
    def add(self, /, encoder: Encoder, texts: Any, threads: SupportsIndex) -> None:
        """
        Counts the words of texts as an encoder sees them; threads: 0 chooses by the size of the batch.
        """
    def finish(self, /) -> WordCounts:
        """
        What has been counted; the counter begins anew.
        """

@final
class WordCounts:
    """
    Distinct words with their counts, most frequent first; immutable.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __len__(self, /) -> int: ...
    def decayed(self, /, factor: SupportsFloat | SupportsIndex) -> WordCounts:
        """
        Every count times `factor`, rounded; what rounds to zero is left out.
        """
    @staticmethod
    def from_bytes(data: bytes) -> tuple[WordCounts, str]:
        """
        Reads what `to_bytes` wrote: the counts and the scheme.
        """
    @staticmethod
    def from_pairs(pairs: SupportsGetItem[int, tuple[str, SupportsIndex]]) -> WordCounts:
        """
        Counts from pairs of word and count; equal words are added up.
        """
    def merged(self, /, other: WordCounts) -> WordCounts:
        """
        The sum of two counts.
        """
    def most_common(self, /, n: SupportsIndex | None = None) -> list[tuple[str, int]]:
        """
        The `n` most frequent words with their counts; all if None.
        """
    def to_bytes(self, /, scheme: str) -> bytes:
        """
        The counts as bytes that carry their scheme, a version and a checksum.
        """
    def total(self, /) -> int:
        """
        Sum of all counts.
        """

def alphabet(encoder: Encoder, counts: WordCounts) -> Incomplete:
    """
    Marks tokens of one character, in any position, that is printable ASCII or occurs in the words.
    """

def are_str(items: Any) -> bool:
    """
    Whether `items` is a tuple of nothing but `str`, no class derived from it among them.
    """

def byte_letters() -> str:
    """
    The letters of all bytes in their order.
    """

def byte_words() -> tuple[str, int]:
    """
    The words of the bytes scheme as an expression of Oniguruma, and the longest there are, in characters.
    """

def count_usage(encoder: Encoder, counts: WordCounts, removed: Incomplete) -> tuple[Incomplete, int, int, int, int, int]:
    """
    What words emit under the vocabulary of an encoder, without the tokens `removed`.
    """

def cpu_count() -> int:
    """
    Number of processors this process may use, by affinity and by the quota of its control group.
    """

def forecast(encoder: Encoder, uses: Incomplete, words: SupportsIndex, rows: Incomplete | None = None) -> Incomplete:
    """
    How often each token is expected in as much text again: uses by id, and the number of words they come from.
    """

def framed(encoder: Encoder, removed: SupportsGetItem[int, SupportsIndex], added: SupportsGetItem[int, str]) -> bytes:
    """
    Tokens of an encoder without some, then others, each after its length in four bytes: what fingerprints are made of.
    """

def grow(encoder: Encoder, counts: WordCounts, removed: Incomplete, *, count: SupportsIndex, min_gain: SupportsIndex, max_pieces: SupportsIndex, base: WordCounts | None = None, max_changed: SupportsFloat | SupportsIndex = 0.005, keep_top: SupportsIndex = 0) -> list[tuple[str, int]]:
    """
    Tokens to add after some have been removed, with what each saves; the greatest gain first.

    base: words of text that no new token may change by more than a share of `max_changed`, nor lengthen any of its
    `keep_top` most frequent words.
    """

def hold_out(counts: WordCounts, share: SupportsFloat | SupportsIndex, seed: SupportsIndex) -> tuple[WordCounts, WordCounts]:
    """
    Splits counts into the larger part and a part of about `share`, the same for the same seed.
    """

def lengths(encoder: Encoder, others: SupportsGetItem[int, str]) -> Incomplete:
    """
    Characters that the tokens of an encoder spell, and then other tokens; at least 1.
    """

def normalize(text: str, rules: tuple[SupportsGetItem[int, SupportsGetItem[int, str]], SupportsGetItem[int, SupportsGetItem[int, str]]]) -> str:
    """
    A text as words see it; the rules are those an encoder takes.
    """

def spell(encoder: Encoder, removed: Incomplete, added: SupportsGetItem[int, str], tokens: SupportsGetItem[int, str]) -> tuple[Incomplete, Incomplete]:
    """
    Spells tokens by others, after some have been removed and some added; ids of added ones follow the vocabulary's.
    """

def split_words(encoder: Encoder, texts: SupportsGetItem[int, str]) -> list[list[str]]:
    """
    The words that each of some texts is cut into.
    """

def train(counts: WordCounts, rules: tuple[SupportsGetItem[int, SupportsGetItem[int, str]], SupportsGetItem[int, SupportsGetItem[int, str]]], *, vocab_size: SupportsIndex, min_count: SupportsIndex, special_tokens: SupportsGetItem[int, str], required_tokens: SupportsGetItem[int, str], continuation_prefix: str, max_word_chars: SupportsIndex, limit_alphabet: SupportsIndex | None = None, max_token_bytes: SupportsIndex | None = None, quality: bool = True) -> list[tuple[str, str, float, float]]:
    """
    Tokens in id order, induced from word counts, each with why it is there and two numbers.

    The numbers: how often a merged pair occurred, and 0; how often a chosen token is expected, and the tokens it saves.
    """

def trim_along(encoder: Encoder, counts: WordCounts, order: Incomplete, rows: Incomplete | None = None) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete]:
    """
    Gives up tokens in a given order and measures it on the words.
    """

def trim_order(encoder: Encoder, counts: WordCounts, protected: Incomplete, rows: Incomplete | None = None, most: SupportsIndex | None = None) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete]:
    """
    Orders tokens that are not protected by what giving them up costs; rows are float32 in C order.

    most: how many come at most; None: all.
    """
