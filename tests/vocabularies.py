"""Small tokenizers with given tokens, and strategies for vocabularies and word counts that collide a lot."""

from hypothesis import strategies as st

from tei import Scheme, Tokenizer
from tei.pretrained import TokenizerSpec

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcé中"

surfaces = st.text(LETTERS, min_size=1, max_size=4)
vocabularies = st.sets(st.tuples(st.sampled_from(["", "##"]), surfaces).map("".join), max_size=30)
tables = st.dictionaries(st.text(LETTERS, min_size=1, max_size=8), st.integers(1, 9), min_size=1, max_size=25)


def make(tokens, scheme=None):
    roles = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    return Tokenizer(TokenizerSpec(tokens=(*SPECIAL, *tokens), scheme=scheme or Scheme.bert(), roles=roles))
