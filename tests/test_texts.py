"""What holds texts: every kind of container gives the ids that a list of str gives, or an error that names the culprit."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.dtypes import StringDType

import tei
from vocabularies import make

pa = pytest.importorskip("pyarrow")

TOKENS = ["a", "b", "##b", "é", "中", "x"]
TEXTS = ["a", "ab é", "", "中 x" * 10, "\N{GRINNING FACE} a"]


@pytest.fixture(scope="module")
def tok() -> tei.Tokenizer:
    return make(TOKENS)


class Stream:
    """Speaks Arrow's stream interface and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __arrow_c_stream__(self, schema: Any = None) -> Any:
        return self.array.__arrow_c_stream__(schema)


def _sliced(texts: Sequence[str], kind: Any) -> Any:
    return pa.array(["é", *texts, "a long string at the end"], kind).slice(1, len(texts))


def _chunked(texts: Sequence[str], kind: Any) -> Any:
    return pa.chunked_array([texts[:1], [], texts[1:]], kind)


# numpy pads with zeros, so these come last in no text; bytes hold no lone surrogates.
CONTAINERS: dict[str, Callable[[list[str]], Any]] = {
    "tuple": tuple,
    "iterator": iter,
    "bytes": lambda texts: [text.encode() for text in texts],
    "str_": lambda texts: [np.str_(text) for text in texts],
    "U": lambda texts: np.array(texts, "U"),
    "U swapped": lambda texts: np.array(texts, np.array(texts, "U").dtype.newbyteorder()),
    "U strided": lambda texts: np.array([x for text in texts for x in (text, "?")], "U")[::2],
    "S": lambda texts: np.array([text.encode() for text in texts], "S"),
    "object": lambda texts: np.array(texts, object),
    "nothing masked": lambda texts: np.ma.array(texts, object, mask=False),
    "StringDType": lambda texts: np.array(texts, StringDType()),
    "string": lambda texts: pa.array(texts, pa.string()),
    "large_string": lambda texts: pa.array(texts, pa.large_string()),
    "string_view": lambda texts: pa.array(texts, pa.string_view()),
    "binary": lambda texts: pa.array([text.encode() for text in texts], pa.binary()),
    "sliced": lambda texts: _sliced(texts, pa.string()),
    "sliced view": lambda texts: _sliced(texts, pa.string_view()),
    "chunked": lambda texts: _chunked(texts, pa.string()),
    "stream": lambda texts: Stream(_chunked(texts, pa.large_string())),
}


@pytest.mark.parametrize("kind", CONTAINERS)
@given(texts=st.lists(st.text() | st.text("abé中\0 ", max_size=20) | st.sampled_from(TEXTS)))
def test_every_container_gives_the_same_ids(tok: tei.Tokenizer, kind: str, texts: list[str]) -> None:
    texts = [text.rstrip("\0") for text in texts]
    want, got = tok.encode_batch(texts), tok.encode_batch(CONTAINERS[kind](texts))
    assert np.array_equal(got.ids, want.ids)
    assert np.array_equal(got.row_offsets, want.row_offsets)


# Of long lists the first texts are encoded while others are read.
LONG = 10_000


@pytest.mark.parametrize("kind", ["tuple", "bytes", "large_string"])
@pytest.mark.parametrize(
    "texts", [TEXTS, ["ab é " * 50, "", "中 x" * 100, "\ud800 b"], [""]], ids=["short", "long", "empty"]
)
def test_long_lists_give_the_same_ids(tok: tei.Tokenizer, kind: str, texts: list[str]) -> None:
    if "\ud800 b" in texts and kind != "tuple":
        texts = texts[:-1]
    texts = [text for _ in range(LONG // len(texts)) for text in texts]
    want = tok.encode_batch(CONTAINERS[kind](texts), parallel=False)
    for parallel in (None, True, False):
        got = tok.encode_batch(texts, parallel=parallel)
        assert np.array_equal(got.ids, want.ids)
        assert np.array_equal(got.row_offsets, want.row_offsets)


@pytest.mark.parametrize("place", [0, 1500, 3 * LONG // 4, LONG - 1])
def test_long_lists_keep_what_is_not_utf8(place: int) -> None:
    tok = tei.Tokenizer.train(["ab"], 256, scheme=tei.Scheme.bytes())
    texts = [b"ab" * 20] * LONG
    texts[place] = b"a\xff"
    assert [tok.decode_bytes(row) for row in tok.encode_batch(texts, parallel=True)] == texts


@pytest.mark.parametrize(
    ("texts", "error", "match"),
    [
        (["a", 3], tei.InvalidInputError, r"texts\[1\] is <class 'int'>, not str: "),
        (("a", b"b"), tei.InvalidInputError, r"texts\[1\] is <class 'bytes'>, not str: "),
        ([b"a", "b"], tei.InvalidInputError, r"texts\[1\] is <class 'str'>, not bytes as the first: "),
        ([b"a", b"bc\xff"], tei.EncodingError, r"texts\[1\] is not UTF-8: byte 0xff at offset 2: "),
        ([b"a", b"b\xe4\xb8"], tei.EncodingError, r"texts\[1\] is not UTF-8: byte 0xe4 at offset 1: "),
        # Long lists are taken part by part.
        (["a"] * 2500 + [3], tei.InvalidInputError, r"texts\[2500\] is <class 'int'>, not str: "),
        (["ab é " * 50] * 9000 + [3], tei.InvalidInputError, r"texts\[9000\] is <class 'int'>, not str: "),
        ([b"a"] * 2500 + ["a"], tei.InvalidInputError, r"texts\[2500\] is <class 'str'>, not bytes as the first: "),
        (np.array(["a", None]), tei.InvalidInputError, r"texts\[1\] is <class 'NoneType'>, not str"),
        (np.array([b"a", b"\xfe"]), tei.EncodingError, r"texts\[1\] is not UTF-8: byte 0xfe at offset 0"),
        (np.array([97, 0x110000], "u4").view("U1"), tei.EncodingError, r"texts\[1\] holds 0x110000 at character 0"),
        (np.array([["a"]]), tei.InvalidInputError, "an array of 2 dimensions, expected one"),
        (np.array("a"), tei.InvalidInputError, "an array of 0 dimensions, expected one"),
        (np.arange(3), tei.InvalidInputError, "an array of int64, not of strings"),
        (np.ma.array(["a", "b", "c"], mask=[0, 1, 1]), tei.InvalidInputError, r"texts\[1\] is masked"),
        (np.ma.array(["a", "b"], object, mask=True), tei.InvalidInputError, r"texts\[0\] is masked"),
        (pa.array(["a", None, "b"]), tei.InvalidInputError, r"texts\[1\] is null"),
        (pa.chunked_array([["a"], ["b", None]]), tei.InvalidInputError, r"texts\[2\] is null"),
        (pa.array([b"a", b"\xff", b"b"]), tei.EncodingError, r"texts\[1\] is not UTF-8: byte 0xff at offset 0"),
        (pa.array([b"a", b"\xff"], pa.binary_view()), tei.EncodingError, r"texts\[1\] is not UTF-8"),
        # Valid as a whole, but not where one text ends and the next begins.
        (pa.array([b"a\xc3", b"\xa9"]), tei.EncodingError, r"texts\[0\] is not UTF-8: byte 0xc3 at offset 1"),
        (pa.array([1, 2]), tei.InvalidInputError, 'an Arrow array of format "l"'),
        (pa.array(["a"]).dictionary_encode(), tei.InvalidInputError, "an Arrow array with a dictionary"),
        (pa.table({"text": ["a"]}), tei.InvalidInputError, "pick one column"),
        (3, tei.InvalidInputError, "texts is <class 'int'>, not several str"),
        (b"abc", tei.InvalidInputError, "texts is one bytes"),
    ],
)
def test_wrong_texts_are_named(tok: tei.Tokenizer, texts: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        tok.encode_batch(texts)


def test_errors_of_an_iterator_pass() -> None:
    def texts() -> Any:
        yield "a"
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        make(TOKENS).encode_batch(texts())


def test_arrow_buffers_that_lie_are_refused(tok: tei.Tokenizer) -> None:
    offsets, data = pa.py_buffer(np.array([0, 3, 1], np.int32)), pa.py_buffer(b"abc")
    with pytest.raises(tei.InvalidInputError, match="descending offsets"):
        tok.encode_batch(pa.Array.from_buffers(pa.string(), 2, [None, offsets, data]))
    view = np.array([13, 0, 0, 9], np.int32)
    with pytest.raises(tei.InvalidInputError, match="outside its buffers"):
        tok.encode_batch(pa.Array.from_buffers(pa.string_view(), 1, [None, pa.py_buffer(view), data]))


def test_lone_surrogates_count_as_replacement_characters(tok: tei.Tokenizer) -> None:
    for texts in (["a\ud800b"], np.array(["a\ud800b"]), np.array(["a\ud800b"], object), ("a\ud800b",)):
        assert tok.encode_batch(texts).ids.tolist() == tok.encode("a\ufffdb").ids


def test_texts_are_released() -> None:
    text = "one" * 100
    before = sys.getrefcount(text)
    tok = make(TOKENS)
    for container in ([text], [text] * LONG, (text,), iter([text]), np.array([text], object)):
        tok.encode_batch(container)
    del container
    with pytest.raises(tei.InvalidInputError, match=f"{LONG}"):
        tok.encode_batch([*[text] * LONG, 3])  # type: ignore[list-item]
    assert sys.getrefcount(text) == before


def test_a_list_may_change_meanwhile(tok: tei.Tokenizer) -> None:
    texts = [f"{'ab é ' * 50}{i}" for i in range(LONG)]
    want, stop = tok.encode_batch(list(texts)).ids, threading.Event()
    shared = list(texts)

    def churn() -> None:
        while not stop.is_set():
            shared.clear()
            shared.extend(f"{'ab é ' * 50}{i}" for i in range(LONG))

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(50):
            got = tok.encode_batch(shared).ids
            assert np.array_equal(got, want[: len(got)])
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif("TEI_HUGE" not in os.environ, reason="takes 4 GB of memory; set TEI_HUGE to run it")
def test_a_text_of_a_gigabyte(tok: tei.Tokenizer) -> None:
    text = "ab, é 中"
    times = 10**9 // len(text.encode())
    found = tok.encode_batch([text, text * times])
    assert np.array_equal(found[1].reshape(times, -1), np.broadcast_to(found[0], (times, len(found[0]))))
    assert tok.encode_batch(["a" * 10**9]).to_list() == [[tok.unk_token_id]]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux says how many threads there are")
def test_threads_end_when_nobody_needs_them() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    tok = tei.Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
    texts = ["lower newest low"] * 40_000
    alone, before = tok.encode_batch(texts, parallel=False), count()
    for _ in range(20):
        together = tok.encode_batch(texts, parallel=True)
        assert (together.ids == alone.ids).all()
    # One for each further processor, not one for each call.
    assert before <= count() < before + (os.cpu_count() or 1)
    deadline = time.monotonic() + 10
    while count() > before:
        assert time.monotonic() < deadline, f"{count() - before} threads are left"
        time.sleep(0.05)
