"""Resize plans: the matrix, composition, the way back, files."""

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans import plan_between, random_plan
from tei.errors import FileFormatError, InvalidInputError, MismatchError, TeiError, VocabularyError
from tei.plan import Pieces, ResizePlan

NAMES = [chr(97 + i) for i in range(12)]
LISTS = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
SEEDS = st.integers(0, 2**32 - 1)


def dense(plan: ResizePlan) -> np.ndarray:
    """The matrix written out entry by entry: the slow twin of `matrix`."""
    matrix = np.zeros((len(plan.target), len(plan.source)))
    for old, new in enumerate(plan.id_map):
        if new >= 0:
            matrix[new, old] = 1
    for new in plan.added:
        for piece, weight in zip(*plan.added[new], strict=True):
            matrix[new, piece] += weight
    return matrix


@given(LISTS, LISTS, SEEDS)
def test_matrix_equals_its_slow_twin(source: list[str], target: list[str], seed: int) -> None:
    plan = plan_between(source, target, seed)
    np.testing.assert_allclose(plan.matrix().toarray(), dense(plan), atol=1e-15)
    np.testing.assert_allclose(plan.matrix().toarray().sum(axis=1), 1)


@given(LISTS, LISTS, SEEDS)
def test_kept_rows_are_bit_identical_and_counts_follow(source: list[str], target: list[str], seed: int) -> None:
    plan = plan_between(source, target, seed)
    rows = np.random.default_rng(seed).normal(size=(len(source), 3))
    moved = plan.matrix().dot(rows)
    for token in set(source) & set(target):
        assert moved[target.index(token)].tobytes() == rows[source.index(token)].tobytes()
    counts = np.arange(len(target), dtype=float)
    np.testing.assert_allclose(counts @ moved, (counts @ dense(plan)) @ rows, atol=1e-9)


@given(LISTS, LISTS, LISTS, LISTS, SEEDS)
def test_composition_is_the_matrix_product_and_associative(
    a: list[str], b: list[str], c: list[str], d: list[str], seed: int
) -> None:
    p, q, r = plan_between(a, b, seed), plan_between(b, c, seed + 1), plan_between(c, d, seed + 2)
    both = p.compose(q)
    np.testing.assert_allclose(both.matrix().toarray(), dense(q) @ dense(p), atol=1e-12)
    np.testing.assert_allclose(both.back_matrix().toarray(), dense(p.inverse()) @ dense(q.inverse()), atol=1e-12)
    left, right = both.compose(r), p.compose(q.compose(r))
    assert np.array_equal(left.id_map, right.id_map)
    np.testing.assert_allclose(left.matrix().toarray(), right.matrix().toarray(), atol=1e-12)
    assert dict(left.reasons) == dict(right.reasons)


@given(LISTS, LISTS, LISTS, SEEDS)
def test_inverse_of_a_composition(a: list[str], b: list[str], c: list[str], seed: int) -> None:
    p, q = plan_between(a, b, seed), plan_between(b, c, seed + 1)
    assert replace(p.compose(q).inverse(), reasons={}) == replace(q.inverse().compose(p.inverse()), reasons={})


@given(LISTS, LISTS, SEEDS)
def test_there_and_back(source: list[str], target: list[str], seed: int) -> None:
    plan = plan_between(source, target, seed)
    assert plan.inverse().inverse() == plan
    around = plan.compose(plan.inverse())
    kept = np.flatnonzero(plan.id_map >= 0)
    assert np.array_equal(around.id_map[kept], kept)
    assert (np.delete(around.id_map, kept) == -1).all()


def test_identity_is_neutral() -> None:
    plan = plan_between(NAMES[:6], NAMES[2:9], 0)
    before = ResizePlan.identity(plan.source, plan.source_fingerprint)
    after = ResizePlan.identity(plan.target, plan.target_fingerprint)
    for same in (before.compose(plan), plan.compose(after)):
        np.testing.assert_allclose(same.matrix().toarray(), dense(plan), atol=1e-15)
        assert np.array_equal(same.id_map, plan.id_map)


@settings(max_examples=30)
@given(LISTS, LISTS, SEEDS)
def test_save_and_load(tmp_path_factory: pytest.TempPathFactory, a: list[str], b: list[str], seed: int) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    plan = plan_between(a, b, seed)
    plan.save(path)
    assert ResizePlan.load(path) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_altered_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan_between(["[UNK]", "a", "é"], ["[UNK]", "b", "é"], 1).save(path)
    data = path.read_bytes()
    for bit in range(0, len(data) * 8, 3):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(FileFormatError):
            ResizePlan.load(path)
    path.write_bytes(data[:-5])
    with pytest.raises(FileFormatError, match="truncated"):
        ResizePlan.load(path)


def test_consistent_file_of_an_inconsistent_plan_is_refused(tmp_path: Path) -> None:
    from tei.files import dump_document
    from tei.plan import _payload

    payload = _payload(plan_between(["a", "b"], ["a", "c"], 1))
    for change in ({"id_map": [0, 1]}, {"id_map": [5, -1]}, {"source": ["a", "a"]}, {"extra": 1}, {"added": [[], [0]]}):
        (tmp_path / "p").write_bytes(dump_document("resize-plan", 1, {**payload, **change}))
        with pytest.raises(FileFormatError, match="no consistent resize plan"):
            ResizePlan.load(tmp_path / "p")


def test_everything_is_read_only() -> None:
    plan = random_plan(NAMES, 3)
    for array in (plan.id_map, plan.added.weights, plan.added.pieces, plan.curve["size"]):
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0
    with pytest.raises(TypeError):
        plan.reasons["a"] = "b"  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        plan.source = ()  # type: ignore[misc]


def build(**changes: object) -> ResizePlan:
    values: dict[str, object] = {
        "source": ["[UNK]", "a", "b"],
        "target": ["[UNK]", "a", "ab"],
        "added": {"ab": ([1, 2], [0.5, 0.5])},
        "dropped": {"b": ([0], [1.0])},
        "source_fingerprint": "s",
        "target_fingerprint": "t",
    }
    return ResizePlan.from_tokens(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"source": ["a", "a"]}, VocabularyError, "'a' occurs more than once"),
        ({"added": {}}, MismatchError, "'ab' is missing from 'added'"),
        ({"dropped": {}}, MismatchError, "'b' is missing from 'dropped'"),
        ({"added": {"ab": ([1], [1.0]), "a": ([1], [1.0])}}, MismatchError, "'a' does not belong"),
        ({"added": {"ab": ([1, 2], [0.5, 0.4])}}, InvalidInputError, "sum to 0.9"),
        ({"added": {"ab": ([1, 2], [1.5, -0.5])}}, InvalidInputError, "negative"),
        ({"added": {"ab": ([1, 2], [float("nan"), 1])}}, InvalidInputError, "sum to nan"),
        ({"added": {"ab": ([1, 3], [0.5, 0.5])}}, InvalidInputError, "ids 1 to 3, expected 0 to 2"),
        ({"added": {"ab": ([], [])}}, InvalidInputError, "at least one piece"),
        ({"added": {"ab": ([1], [0.5, 0.5])}}, InvalidInputError, "1 pieces but 2 weights"),
        ({"curve": {"a": np.zeros(2), "b": np.zeros(3)}}, InvalidInputError, "different lengths"),
    ],
)
def test_bad_plans_are_refused(changes: dict[str, object], error: type[TeiError], words: str) -> None:
    with pytest.raises(error, match=words):
        build(**changes)


def test_wrong_vocabulary_is_refused() -> None:
    plan = build()
    plan.check_source("s")
    with pytest.raises(MismatchError, match="made for vocabulary s, not for x"):
        plan.check_source("x")
    with pytest.raises(MismatchError, match="made for vocabulary s, not for t"):
        plan.compose(plan)
    with pytest.raises(MismatchError, match=r"sends token '.UNK.' to 'a'"):
        replace(plan, id_map=np.array([1, 0, -1]))


def test_pieces_by_id() -> None:
    pieces = Pieces.from_rows({5: ([1, 1], [0.5, 0.5]), 2: ([3], [1])})
    assert list(pieces) == [2, 5]
    assert pieces[5][0].tolist() == [1, 1]
    for missing in (0, 3, 9):
        with pytest.raises(KeyError):
            pieces[missing]


def test_summary_names_reasons() -> None:
    text = build(reasons={"ab": "grown: gain 812", "b": "unused"}).summary()
    assert text.splitlines() == [
        "vocabulary 3 -> 3 tokens: 2 kept, 1 dropped, 1 added",
        "dropped: 1 unused; for example b",
        "added: 1 grown; for example ab",
    ]


def test_import_loads_no_framework() -> None:
    code = "import tei.plan, sys; print([m for m in ('torch', 'transformers', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
