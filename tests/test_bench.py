"""Measuring side by side: rounds are interleaved, wrong ids are seen, a peer that fails does not spoil the rest."""

import os

import pytest

import tei
from tei import bench, peers

TEXTS = ["low lower", "lowest", ""]


@pytest.fixture(scope="module")
def tok():
    return tei.Tokenizer.train(["low lower lowest"], vocab_size=20, min_count=1)


class Wrong(peers.Tei):
    name = "wrong"

    def lists(self, texts):
        return [row[::-1] if len(row) > 1 and row != row[::-1] else row for row in super().lists(texts)]


class Failing(peers.Tei):
    name = "failing"

    def __init__(self, tokenizer_json, threads):
        raise OSError(f"{tokenizer_json.name}\nis not for {threads} thread")


class Absent(peers.Tei):
    name = "absent"
    package = "a_package_that_nobody_installed"


def test_wrong_ids_and_failures_are_reported(tok, monkeypatch):
    monkeypatch.setattr(bench, "PEERS", (Wrong, Failing, Absent))
    measured, refused = bench.compare(tok, TEXTS, rounds=3)
    assert refused == {"failing": "cannot open this tokenizer: tokenizer.json is not for 1 thread"}
    equal = {entry.name: entry.equal for entry in measured}
    assert equal["tei"] == 1
    assert equal == {"tei": 1, "wrong": pytest.approx(1 / 3)}
    assert [entry.rate for entry in measured] == sorted((entry.rate for entry in measured), reverse=True)
    for entry in measured:
        assert (len(entry.seconds), entry.tokens) == (3, len(tok.encode_batch(TEXTS).ids))


def test_every_peer_that_is_installed_agrees(tok):
    measured, refused = bench.compare(tok, TEXTS, rounds=1)
    assert not refused
    assert {entry.name: entry.equal for entry in measured} == {entry.name: 1 for entry in measured}


def test_no_text_is_refused(tok):
    with pytest.raises(tei.InvalidInputError, match="no text"):
        bench.compare(tok, [])


def test_each_round_runs_every_call_and_begins_with_another():
    order = []
    bench.interleave({name: lambda name=name: order.append(name) for name in "abc"}, rounds=3, floor=0)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_short_calls_are_repeated():
    calls = []
    (seconds,) = bench.interleave({"short": lambda: calls.append(0)}, rounds=1, floor=0.001).values()
    assert len(calls) > 2
    assert seconds[0] < 0.001


def test_processors_are_limited_and_given_back():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system cannot keep a process on some processors")
    before = os.sched_getaffinity(0)
    with bench.on_cpus(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
