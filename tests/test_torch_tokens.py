"""Token shards as data sets of torch."""

import functools
from pathlib import Path

import pytest

import tei

torch = pytest.importorskip("torch")
tt = pytest.importorskip("tei.torch")

LINES = [f"word{i % 7} and {'more ' * (i % 5)}text" for i in range(200)]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> tuple[tei.Tokenizer, Path]:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    tok = tei.Tokenizer.train(LINES, vocab_size=45)
    shards = tok.encode_files(folder / "lines.txt", out=folder / "shards", shard_tokens=300)
    assert len(shards.shards) > 2
    return tok, folder / "shards"


def test_an_item_is_a_row(encoded: tuple[tei.Tokenizer, Path]) -> None:
    tok, shards = encoded
    rows = tt.TokenDataset(shards)
    assert [row.tolist() for row in rows] == [tok.encode(line).ids for line in LINES]
    assert rows.lengths.tolist() == [len(row) for row in rows]


@pytest.mark.parametrize("block", [1, 7, 299, 700])
def test_blocks_cross_rows_and_shards(encoded: tuple[tei.Tokenizer, Path], block: int) -> None:
    tok, shards = encoded
    everything = [token for line in LINES for token in tok.encode(line).ids]
    blocks = [part.tolist() for part in tt.TokenDataset(shards, block=block)]
    assert blocks == [everything[i : i + block] for i in range(0, len(everything) - block + 1, block)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_reads_all_and_goes_on(encoded: tuple[tei.Tokenizer, Path], workers: int) -> None:
    tok, shards = encoded
    data = tt.TokenDataset(shards)

    def loader() -> tt.ResumableLoader:
        buckets = tt.LengthBuckets(data.lengths, 16, seed=3)
        collate = functools.partial(tt.pad, pad_id=tok.pad_token_id)
        return tt.ResumableLoader(data, batch_sampler=buckets, collate_fn=collate, num_workers=workers)

    whole = list(loader())
    assert sum(int(batch["attention_mask"].sum()) for batch in whole) == int(data.lengths.sum())
    rest = loader()
    rest.load_state_dict({"epoch": 0, "batches": 5})
    for batch, again in zip(whole[5:], rest, strict=True):
        assert torch.equal(batch["input_ids"], again["input_ids"])
        assert (batch["input_ids"][batch["attention_mask"] == 0] == tok.pad_token_id).all()


def test_what_cannot_be_is_refused(encoded: tuple[tei.Tokenizer, Path]) -> None:
    with pytest.raises(tei.InvalidInputError, match="block is 0"):
        tt.TokenDataset(encoded[1], block=0)
    with pytest.raises(tei.EmptySourceError, match="no item of 1000000 tokens"):
        tt.TokenDataset(encoded[1], block=1_000_000)
