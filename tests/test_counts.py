"""Word counts: what they hold, their arithmetic, and their file."""

import pickle
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tei import sources
from tei.counts import WordCounts, count_words
from tei.errors import EmptySourceError, FileFormatError, InvalidInputError, StorageError
from tei.scheme import Scheme

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
tables = st.dictionaries(words, st.integers(1, 2**62), max_size=20)


def ordered(table):
    return sorted(table.items(), key=lambda item: (-item[1], item[0].encode()))


@given(tables, tables)
def test_sum_and_order_equal_a_counter(first, second):
    both = WordCounts.from_mapping(first) + WordCounts.from_mapping(second)
    assert both.most_common() == ordered(Counter(first) + Counter(second))
    assert both == WordCounts.from_mapping([*second.items(), *first.items()])


@given(st.dictionaries(words, st.integers(1, 1000), max_size=20), st.floats(0, 1))
def test_decay_rounds_and_drops_zeros(table, factor):
    # Rust rounds halves away from zero.
    decayed = {word: int(count * factor + 0.5) for word, count in table.items()}
    assert WordCounts.from_mapping(table).decay(factor).most_common() == ordered(
        {w: c for w, c in decayed.items() if c}
    )


@given(st.lists(st.text("ab .\n", max_size=20), max_size=20), st.integers(0, 3))
def test_count_equals_splitting_on_any_number_of_threads(texts, threads):
    expected = Counter(word for text in texts for word in text.replace(".", " . ").split())
    if expected:
        assert count_words(texts, threads=threads).most_common() == ordered(expected)
    else:
        with pytest.raises(EmptySourceError):
            count_words(texts, threads=threads)


@given(tables)
def test_bytes_and_pickle_come_back_equal(table):
    counts = WordCounts.from_mapping(table, Scheme.bert(lowercase=False))
    assert WordCounts.from_bytes(counts.to_bytes()) == counts == pickle.loads(pickle.dumps(counts))


def test_file_is_checked(tmp_path):
    counts, path = count_words(["to be or not to be"]), tmp_path / "words"
    counts.save(path)
    assert WordCounts.load(path) == counts
    data = path.read_bytes()
    for broken in (b"", data[:-1], data + b"\0", data[:30] + b"\xff" + data[31:], b"x" + data[1:]):
        path.write_bytes(broken)
        with pytest.raises(FileFormatError, match="words"):
            WordCounts.load(path)
    with pytest.raises(FileFormatError, match="absent"):
        WordCounts.load(tmp_path / "absent")


def test_counts_of_other_schemes_are_not_mixed():
    cased = WordCounts.from_mapping({"A": 1}, Scheme.bert(lowercase=False))
    uncased = WordCounts.from_mapping({"A": 1})
    assert cased != uncased
    with pytest.raises(InvalidInputError, match="different schemes"):
        cased + uncased


@pytest.mark.parametrize("table", [{"a": -1}, {"a": 2**64}, {"a": 1.5}, {1: 1}, {"\ud800": 1}, ["a"]])
def test_what_is_no_count_is_refused(table):
    with pytest.raises(InvalidInputError, match="counts must pair"):
        WordCounts.from_mapping(table)


def test_sums_do_not_wrap():
    assert WordCounts.from_mapping([("a", 2**64 - 1), ("a", 5), ("b", 1)]).total == 2**64 - 1


@pytest.mark.parametrize("factor", [-0.1, 1.1, float("nan")])
def test_decay_refuses_other_factors(factor):
    with pytest.raises(InvalidInputError, match="factor"):
        WordCounts.from_mapping({"a": 1}).decay(factor)


@pytest.mark.parametrize("limit", [1, "1 B", "2 KB", "1 MiB"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_memory_limit_changes_nothing_and_leaves_nothing(monkeypatch, tmp_path, limit, threads):
    # One text a batch: more runs than are open at a time.
    monkeypatch.setattr(sources, "BATCH_TEXTS", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    generator = random.Random(0)
    texts = [
        " ".join(f"w{generator.randrange(900):x}é" for _ in range(40)) + " a_word_of_many_bytes" for _ in range(150)
    ]
    assert count_words(texts, memory_limit=limit, threads=threads) == count_words(texts)
    assert not list(tmp_path.iterdir())


def test_no_room_for_temporary_files_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    with pytest.raises(StorageError, match=r"absent.*raise memory_limit"):
        count_words(["some words"], memory_limit=1)
    assert count_words(["some words"], memory_limit="1 GiB").total == 2


@pytest.mark.parametrize("limit", [0, -1, "", "lots", "256 MiBi", "1..5 MB", "0 MB"])
def test_other_limits_are_refused(limit):
    with pytest.raises(InvalidInputError, match="256 MiB"):
        count_words(["a"], memory_limit=limit)


def test_a_negative_number_of_threads_is_refused():
    with pytest.raises(InvalidInputError, match="threads is -1"):
        count_words(["a"], threads=-1)


def test_the_exception_of_a_generator_arrives():
    def broken():
        yield from ["some text"] * 5000
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        count_words(broken())


def test_ctrl_c_ends_counting():
    def interrupted(_texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_words(["some text"] * 10_000, progress=interrupted)


def test_strings_of_arrow_are_counted():
    pyarrow = pytest.importorskip("pyarrow")
    texts = ["to be", "or not", "to be"]
    for array in (pyarrow.array(texts), pyarrow.chunked_array([texts[:1], texts[1:]])):
        assert count_words(array) == count_words(texts)


@given(st.lists(st.text("ab é", max_size=60), min_size=1, max_size=30))
def test_frequent_and_long_words_are_counted_alike(texts):
    # All words of this table share few slots with each other, and most come again.
    texts = [*texts, "x" * 15, "x" * 16, "x" * 300] * 3
    expected = Counter(word for text in texts for word in text.replace("é", "e").split())
    assert count_words(texts).most_common() == ordered(expected)
