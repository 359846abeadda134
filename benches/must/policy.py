"""Musts of the vocabulary policy: MiniLM-L6 on six kinds of English, before any training, side by side with the peers."""

import functools
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tei
from must import Options, Result, must
from must.corpora import READERS, adaptation_texts
from tei.demo import model_directory

SENTENCES = 250
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Where less text is given, what it lacks decides, not the policy.
LARGE = ("kernel", "novels", "speeches", "wikitext", "tweets")


@functools.cache
def _model() -> Any:
    import torch
    from transformers import AutoModel

    torch.set_num_threads(1)
    return AutoModel.from_pretrained(model_directory()).eval()


@functools.cache
def _tokenizer() -> tei.Tokenizer:
    return tei.Tokenizer.from_pretrained(model_directory())


@functools.cache
def _rows() -> NDArray[np.float32]:
    rows: NDArray[np.float32] = _model().get_input_embeddings().weight.detach().numpy().copy()
    return rows


@dataclass(frozen=True, eq=False)
class _Case:
    """A text set with what the original model makes of its held-out part."""

    training: list[str]
    counts: tei.WordCounts
    held_out: tei.WordCounts
    sentences: list[str]
    vectors: NDArray[np.float64]


@functools.cache
def _case(name: str) -> _Case:
    training, held_out = adaptation_texts(name)
    sentences = [text for text in held_out if 60 < len(text) < 500][:SENTENCES] or held_out[:SENTENCES]
    vectors = _vectors(_tokenizer(), _rows(), sentences)
    return _Case(training, _tokenizer().count(training), _tokenizer().count(held_out), sentences, vectors)


def _vectors(tokenizer: tei.Tokenizer, rows: NDArray[np.float32], sentences: list[str]) -> NDArray[np.float64]:
    """Sentence embeddings of MiniLM with another vocabulary and its rows."""
    import torch

    from tei.torch.fidelity import embed

    table = _model().get_input_embeddings()
    before = table.weight.data
    table.weight.data = torch.from_numpy(rows)
    try:
        return embed(_model(), tokenizer, sentences)
    finally:
        table.weight.data = before


@dataclass(frozen=True)
class _Score:
    """What a changed vocabulary does to held-out text.

    Args:
        size: Number of tokens.
        tokens: Length of the text, as a share of that with the original vocabulary.
        drift: Mean of one minus the cosine of sentence embeddings to the original model's.
        spearman: Rank correlation of the similarities of all pairs of sentences.
    """

    size: int
    tokens: float
    drift: float
    spearman: float


@functools.cache
def _score(name: str, policy: str) -> _Score:
    from tei.torch.fidelity import spearman

    case = _case(name)
    tokenizer, rows = POLICIES[policy](case)
    vectors = _vectors(tokenizer, rows, case.sentences)
    upper = np.triu_indices(len(vectors), 1)
    pairs = [(v @ v.T)[upper] for v in (vectors, case.vectors)]
    return _Score(
        tokenizer.vocab_size,
        tokenizer.usage(case.held_out).tokens / _tokenizer().usage(case.held_out).tokens,
        1 - float((vectors * case.vectors).sum(axis=1).mean()),
        spearman(*pairs),
    )


Changed = tuple[tei.Tokenizer, NDArray[np.float32]]


def _plan(**options: Any) -> Callable[[_Case], Changed]:
    def change(case: _Case) -> Changed:
        plan = _tokenizer().plan(case.counts, weights=_rows(), **options)
        return _tokenizer().apply(plan), plan.matrix().dot(_rows()).astype(np.float32)

    return change


def _with_tokens(tokens: Iterable[str]) -> tei.Tokenizer:
    """MiniLM's tokenizer with other tokens."""
    from dataclasses import replace

    names = (*SPECIAL, *sorted(set(tokens) - set(SPECIAL)))
    return tei.Tokenizer(replace(_tokenizer().spec, tokens=names))


def _alphabet(case: _Case) -> set[str]:
    seen = {character for word, _ in case.counts.most_common() for character in word} | set(map(chr, range(33, 127)))
    return {mark + character for character in seen for mark in ("", "##")} & _tokenizer().vocab.keys()


def _top_k(size: int) -> Callable[[_Case], Changed]:
    """The policy of trimbed and vocabtrimmer, the alphabet kept so that no word breaks."""

    def change(case: _Case) -> Changed:
        counts = _tokenizer().usage(case.counts).token_counts
        kept = dict.fromkeys([*SPECIAL, *sorted(_alphabet(case))])
        ranked = np.lexsort((np.arange(len(counts)), -counts))
        kept.update(dict.fromkeys(_tokenizer().tokens[i] for i in ranked if counts[i]))
        # The alphabet comes first, so cutting takes the rarest tokens.
        return _copied(_with_tokens(list(kept)[:size]))

    return change


def _retrained(size: int) -> Callable[[_Case], Changed]:
    """FVT: a tokenizer trained anew by Hugging Face's trainer, rows copied or the mean of the old pieces."""

    def change(case: _Case) -> Changed:
        from tokenizers import Tokenizer
        from tokenizers.models import WordPiece
        from tokenizers.trainers import WordPieceTrainer

        backend = Tokenizer.from_file(str(model_directory() / "tokenizer.json"))
        backend.model = WordPiece(unk_token="[UNK]")
        options: dict[str, Any] = {"vocab_size": size, "special_tokens": list(SPECIAL), "show_progress": False}
        backend.train_from_iterator(case.training, WordPieceTrainer(**options))
        return _copied(_with_tokens(backend.get_vocab()))

    return change


def _copied(tokenizer: tei.Tokenizer) -> Changed:
    """Rows of the old vocabulary where it has the token, else the mean of the pieces that it spells the token with."""
    old, rows = _tokenizer(), np.empty((tokenizer.vocab_size, _rows().shape[1]), np.float32)
    prefix = tokenizer.scheme.continuation_prefix
    for i, token in enumerate(tokenizer.tokens):
        pieces = [token] if token in old.vocab else _pieces(token, prefix)
        rows[i] = _rows()[[old.vocab[piece] for piece in pieces]].mean(axis=0)
    return tokenizer, rows


def _pieces(token: str, prefix: str) -> list[str]:
    """Longest match by hand."""
    mark, rest, pieces = prefix * token.startswith(prefix), token.removeprefix(prefix), []
    while rest:
        length = next((n for n in range(len(rest), 0, -1) if mark + rest[:n] in _tokenizer().vocab), 0)
        if not length:
            return ["[UNK]"]
        pieces.append(mark + rest[:length])
        mark, rest = prefix, rest[length:]
    return pieces


POLICIES: dict[str, Callable[[_Case], Changed]] = {
    "top-k 4,000": _top_k(4_000),
    "top-k 2,000": _top_k(2_000),
    "retrained 6,000": _retrained(6_000),
    "4,000": _plan(size=4_000),
    "2,000": _plan(size=2_000),
    "6,000": _plan(size=4_000, grow=2_000),
    "auto": _plan(size="auto"),
}


def _compare(measure: str, policy: str, peer: str, names: Iterable[str] = READERS) -> dict[str, float]:
    """A measure of a policy against a peer's, corpus by corpus: the ratio minus 1, of rank correlations the difference."""
    pairs = {name: [getattr(_score(name, which), measure) for which in (policy, peer)] for name in names}
    if measure == "spearman":
        return {name: ours - theirs for name, (ours, theirs) in pairs.items()}
    return {name: 100 * (ours / theirs - 1) for name, (ours, theirs) in pairs.items()}


def _note(values: dict[str, float], form: str = "+.1f") -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())


def _mean(values: dict[str, float], form: str = "+.1f") -> Result:
    return Result(statistics.mean(values.values()), note=_note(values, form))


def _worst(values: dict[str, float], form: str = "+.1f", *, least: bool = False) -> Result:
    return Result((min if least else max)(values.values()), note=_note(values, form))


@must(6, "trim 4,000: drift", "<=", -8.0, "%")
def trim_drift(_: Options) -> Result:
    """One minus the cosine of sentence embeddings against frequency top-k with the alphabet kept, mean over the corpora."""
    return _mean(_compare("drift", "4,000", "top-k 4,000"))


@must(6, "trim 4,000: drift, worst", "<=", 0.0, "%")
def trim_drift_worst(_: Options) -> Result:
    """The same on the corpus where it is worst."""
    return _worst(_compare("drift", "4,000", "top-k 4,000"))


@must(6, "trim 4,000: tokens, worst", "<=", 0.0, "%")
def trim_tokens(_: Options) -> Result:
    """Held-out tokens against the same, on the corpus where it is worst."""
    return _worst(_compare("tokens", "4,000", "top-k 4,000"), "+.2f")


@must(6, "trim 2,000: Spearman", ">=", 0.02, "rho")
def deep_trim_spearman(_: Options) -> Result:
    """Rank correlation gained over frequency top-k with the alphabet kept, mean over the corpora."""
    return _mean(_compare("spearman", "2,000", "top-k 2,000"), "+.3f")


@must(6, "trim 2,000: drift", "<=", -3.0, "%")
def deep_trim_drift(_: Options) -> Result:
    """One minus the cosine against the same, mean over the corpora."""
    return _mean(_compare("drift", "2,000", "top-k 2,000"))


@must(6, "trim 2,000: tokens", "<=", -5.0, "%")
def deep_trim_tokens(_: Options) -> Result:
    """Held-out tokens against the same, mean over the corpora."""
    return _mean(_compare("tokens", "2,000", "top-k 2,000"))


@must(6, "6,000: tokens, worst", "<=", 0.0, "%")
def fixed_size_tokens(_: Options) -> Result:
    """Held-out tokens against a tokenizer retrained to 6,000 (FVT), worst of the corpora of 1 MB or more."""
    return _worst(_compare("tokens", "6,000", "retrained 6,000", LARGE), "+.2f")


@must(6, "6,000: Spearman, worst", ">=", 0.01, "rho")
def fixed_size_spearman(_: Options) -> Result:
    """Rank correlation gained over the same, on the corpus where it is least."""
    return _worst(_compare("spearman", "6,000", "retrained 6,000"), "+.3f", least=True)


@must(6, "kernel docs at 6,000: tokens", "<=", -5.0, "%")
def kernel_tokens(_: Options) -> Result:
    """Held-out tokens against the original vocabulary."""
    return Result(100 * (_score("kernel", "6,000").tokens - 1))


@must(6, "kernel docs at 6,000: Spearman", ">=", 0.89, "rho")
def kernel_spearman(_: Options) -> Result:
    """Rank correlation of sentence similarities with the original model's."""
    return Result(_score("kernel", "6,000").spearman, _score("kernel", "retrained 6,000").spearman)


@must(6, "kernel docs at 6,000: parameters", "<=", -41.0, "%")
def kernel_parameters(_: Options) -> Result:
    """Parameters of the model against the original's."""
    before = sum(parameter.numel() for parameter in _model().parameters())
    gone = (_tokenizer().vocab_size - _score("kernel", "6,000").size) * _rows().shape[1]
    return Result(-100 * gone / before)


@must(6, "auto: tokens, worst", "<=", 3.0, "%")
def auto_tokens(_: Options) -> Result:
    """Held-out tokens with `size='auto'` against the original vocabulary, on the corpus where it is worst."""
    return _worst({name: 100 * (_score(name, "auto").tokens - 1) for name in READERS})


@must(6, "auto: Spearman, worst", ">=", 0.95, "rho")
def auto_spearman(_: Options) -> Result:
    """Rank correlation with `size='auto'`, on the corpus where it is least."""
    return _worst({name: _score(name, "auto").spearman for name in READERS}, ".3f", least=True)


@must(6, "auto: size, worst", "<=", 1.0, "of the used part")
def auto_size(_: Options) -> Result:
    """Size that `size='auto'` chooses, as a share of the tokens that the text uses, where it is greatest."""
    used = {name: len(_tokenizer().usage(_case(name).counts).used) for name in READERS}
    sizes = {name: _score(name, "auto").size for name in READERS}
    ratios = {name: sizes[name] / used[name] for name in READERS}
    return Result(max(ratios.values()), note=", ".join(f"{name} {sizes[name]:,} of {used[name]:,}" for name in READERS))
