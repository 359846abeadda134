"""Random rules: pairs of a `tokenizers` tokenizer and texts that its components treat each in their own way."""

from typing import Any

from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

BEHAVIORS = ["isolated", "removed", "contiguous", "merged_with_previous", "merged_with_next"]
#: Letters with and without accents, marks of several classes, Hangul, ligatures, white space, signs, numbers.
CHARACTERS = (
    "aAbéÉĠßİﬁ½²٣Ⅷ1290 _-.,!$^`\t\n\r\x00\x01\x0b\x1c\x85\xa0\xad\u200b\u200d\u2028\u3000\ufeff\ufffd"
    "\u0301\u0323\u0345\u0344\u0f73\u302e\u05b0\u0903\u0e33\u20dd中豈日한\u1112\u1161\u11abﷺ㍿…«»、€≠Ωϓ\u0390Ǆ\U0001f600\U00020000"
    "\U0001d15e\u1e9b\u0958\u08d3\U0001e000"
)
PIECES = ["ab", "##b", "[X]", "x y", "  ", "...", "a1b2", "a-b", "e\u0301", "\u1100\u1161\u11a8", "[new]", "né"]

texts = st.lists(st.text(CHARACTERS, max_size=8) | st.sampled_from(PIECES) | st.text(max_size=4)).map("".join)
snippets = st.text("abAé .-\u0301ﬁ", min_size=1, max_size=2)


NORMALIZERS = ["Bert", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend"]
PRE_TOKENIZERS = ["BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits"]
ENDS = [("[CLS]", 1), ("[SEP]", 2)]


@st.composite
def normalizer_parts(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(NORMALIZERS))
    if kind == "Bert":
        clean, chinese, lower = draw(st.tuples(*[st.booleans()] * 3))
        return normalizers.BertNormalizer(clean, chinese, draw(st.sampled_from([None, True, False])), lower)
    if kind == "Strip":
        return normalizers.Strip(draw(st.booleans()), draw(st.booleans()))
    if kind == "Replace":
        return normalizers.Replace(draw(snippets), draw(st.text("ab é\u0301-", max_size=3)))
    if kind == "Prepend":
        return normalizers.Prepend(draw(snippets))
    return getattr(normalizers, kind)()


@st.composite
def pre_tokenizer_parts(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(PRE_TOKENIZERS))
    if kind == "Punctuation":
        return pre_tokenizers.Punctuation(draw(st.sampled_from(BEHAVIORS)))
    if kind == "Digits":
        return pre_tokenizers.Digits(draw(st.booleans()))
    return getattr(pre_tokenizers, kind)()


def sequences(parts: st.SearchStrategy[Any], sequence: Any) -> st.SearchStrategy[Any]:
    """Nothing, one part, or a sequence, sometimes within another."""
    flat = st.lists(parts, max_size=4).map(sequence)
    return st.none() | parts | flat | st.tuples(parts, flat).map(list).map(sequence)


@st.composite
def post_processors(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from([None, "Bert", "Roberta", "Template", "ByteLevel", "Sequence"]))
    if kind == "ByteLevel":
        return processors.ByteLevel(draw(st.booleans()), trim_offsets=draw(st.booleans()))
    if kind == "Bert":
        return processors.BertProcessing(ENDS[1], ENDS[0])
    if kind == "Roberta":
        return processors.RobertaProcessing(ENDS[1], ENDS[0], draw(st.booleans()), draw(st.booleans()))
    if kind == "Template":
        single = draw(st.sampled_from(["$A", "[CLS] $A [SEP]", "$A:3 [SEP]:2"]))
        pair = draw(st.sampled_from(["$A $B", "[CLS] $A [SEP] $B:1 [SEP]:1", "$B:1 [CLS]:4 $A:2", "$A [SEP] $B [SEP]"]))
        return processors.TemplateProcessing(single, pair, ENDS)
    if kind is None:
        return None
    parts = [part for part in [draw(post_processors())] if part is not None]
    if (
        parts
        and isinstance(parts[0], processors.BertProcessing | processors.TemplateProcessing)
        and draw(st.booleans())
    ):
        parts.insert(0, processors.ByteLevel(draw(st.booleans()), trim_offsets=draw(st.booleans())))
    return processors.Sequence(parts)


word_piece_decoders = st.builds(decoders.WordPiece, st.sampled_from(["##", "@", ""]), st.booleans())

added_tokens = st.builds(
    AddedToken,
    st.sampled_from(["[X]", "É", "a", "x y", "##b", "中", "=", "-", "é", "...", "1", "\u0301", "ﬁ"]),
    single_word=st.booleans(),
    lstrip=st.booleans(),
    rstrip=st.booleans(),
    normalized=st.booleans(),
    special=st.booleans(),
)


@st.composite
def tokenizers(draw: st.DrawFn) -> Tokenizer:
    """A tokenizer of `tokenizers` whose vocabulary knows most of the characters above, alone and in some pairs."""
    lengths = draw(st.sampled_from([0, 3, 3, 100, 100]))
    surfaces = [*CHARACTERS, *CHARACTERS.lower(), "ab", "e\u0301", "..", " a", "a ", "  ", "ĠĠ"]
    known = [s for s in dict.fromkeys(surfaces) if s != "İ"]
    tokens = dict.fromkeys(["[UNK]", "[CLS]", "[SEP]", *known, *("##" + s for s in known)])
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=lengths))
    normalizer = draw(sequences(normalizer_parts(), normalizers.Sequence))
    pre_tokenizer = draw(sequences(pre_tokenizer_parts(), pre_tokenizers.Sequence))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if (decoder := draw(st.none() | word_piece_decoders)) is not None:
        tokenizer.decoder = decoder
    if (post_processor := draw(post_processors())) is not None:
        tokenizer.post_processor = post_processor
    for token in draw(st.lists(added_tokens, max_size=3, unique_by=lambda token: _matched(token, normalizer))):
        # `tokenizers` panics on tokens that normalize to nothing.
        if _matched(token, normalizer):
            tokenizer.add_tokens([token])
    return tokenizer


def _matched(token: AddedToken, normalizer: Any) -> str:
    return normalizer.normalize_str(token.content) if normalizer and token.normalized else token.content
