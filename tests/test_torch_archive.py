"""Dropped rows: kept over several plans, named by their hashes, and back with what they had learnt."""

import numpy as np
import pytest
import torch
from torch import nn

from plans import plan_between
from tei.errors import MismatchError
from tei.torch import Archive, apply

TOKENS = ["[UNK]", "a", "b", "c", "d"]


def learned(seed: int = 0) -> tuple[nn.Embedding, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Embedding(len(TOKENS) + 2, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.arange(7)).pow(2).sum().backward()
    optimizer.step()
    return model, optimizer


def test_a_token_that_returns_plans_later_has_its_row_and_its_moments() -> None:
    model, optimizer = learned()
    rows = model.weight.detach().clone()
    moments = optimizer.state[model.weight]["exp_avg"].clone()
    first = plan_between(TOKENS, ["[UNK]", "b", "c", "d"], 1)
    second = plan_between(list(first.target), ["[UNK]", "c", "e"], 2)
    third = plan_between(list(second.target), ["[UNK]", "e", "a", "d"], 3)
    archive = apply(first, model, optimizer)
    archive = archive.merged(apply(second, model, optimizer, archive=archive))
    assert set(archive.tokens) == {"a", "b", "d"}
    apply(third, model, optimizer, archive=archive)
    for token in ("a", "d"):
        old, new = TOKENS.index(token), third.target.index(token)
        assert torch.equal(model.weight[new], rows[old])
        assert torch.equal(optimizer.state[model.weight]["exp_avg"][new], moments[old])


def test_the_later_rows_win_and_the_first_excess_stays() -> None:
    one = Archive("s", "t", ("a", "b"), 4, {"w": torch.tensor([[1.0], [2.0], [8.0], [9.0]])})
    two = Archive("t", "u", ("b", "c"), 3, {"w": torch.tensor([[3.0], [4.0], [7.0]]), "m": torch.ones(3, 1)})
    both = one.merged(two)
    assert (both.source_fingerprint, both.target_fingerprint, both.tokens, both.rows) == ("s", "u", ("a", "b", "c"), 4)
    assert both.tensors["w"].flatten().tolist() == [1, 3, 4, 8, 9]
    assert both.tensors["m"].flatten().tolist() == [0, 1, 1, 0, 0]
    with pytest.raises(MismatchError, match="cannot be merged"):
        one.merged(Archive("t", "u", ("c",), 3, {"w": torch.ones(1, 2)}))


def test_archives_of_two_types_keep_every_bit_of_both() -> None:
    one = Archive("s", "t", ("a",), 1, {"w": torch.tensor([[1.0]], dtype=torch.bfloat16)})
    two = Archive("t", "u", ("b",), 1, {"w": torch.tensor([[1.0001]])})
    assert one.merged(two).tensors["w"].flatten().tolist() == [1.0, torch.tensor(1.0001).item()]
    with pytest.raises(MismatchError, match="1 rows of 'w' for 2 tokens"):
        Archive("s", "t", ("a", "b"), 2, {"w": torch.ones(1, 1)})


def test_hashes_name_rows_and_change_with_any_bit() -> None:
    model, optimizer = learned()
    plan = plan_between(TOKENS, ["[UNK]", "a", "b"], 1)
    archive = apply(plan, model, optimizer)
    hashes = archive.row_hashes
    assert set(hashes) == {"c", "d"}
    assert hashes["c"] != hashes["d"]
    changed = {name: rows.clone() for name, rows in archive.tensors.items()}
    next(iter(changed.values())).view(torch.uint8).numpy()[0, 0] ^= np.uint8(1)
    other = Archive(archive.source_fingerprint, archive.target_fingerprint, archive.tokens, archive.rows, changed)
    assert other.row_hashes["c"] != hashes["c"]
    assert other.row_hashes["d"] == hashes["d"]
