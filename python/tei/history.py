"""What each applied plan did to a tokenizer, in enough detail to undo it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tei.errors import FileFormatError, InvalidInputError
from tei.special_tokens import AddedToken
from tei.vocabulary import fingerprint, rules

if TYPE_CHECKING:
    from tei.plan import ResizePlan
    from tei.pretrained import TokenizerSpec

__all__ = ["Entry", "applied", "check_version", "entry_of", "undone"]

#: An entry of the history: plain data, as it is saved.
Entry = Mapping[str, Any]


def applied(spec: "TokenizerSpec", plan: "ResizePlan", history: Sequence[Entry]) -> "TokenizerSpec":
    """The spec after a plan; a declared token that an earlier plan dropped is declared again when it returns."""
    lost = {fields["content"]: AddedToken(**fields) for past in history for fields in past["lost_tokens"]}
    if plan.keeps_all and not lost:
        return replace(spec, tokens=plan.target)
    return _with(spec, plan.target, (*spec.added_tokens, *lost.values()))


def _with(spec: "TokenizerSpec", tokens: Sequence[str], declared: Iterable[AddedToken]) -> "TokenizerSpec":
    """The spec with other tokens, and those of the declared tokens that are among them, each once, in id order."""
    first = {token.content: token for token in reversed([*declared])}
    return replace(spec, tokens=tuple(tokens), added_tokens=tuple(first[token] for token in tokens if token in first))


def entry_of(
    spec: "TokenizerSpec",
    plan: "ResizePlan",
    *,
    retired: Collection[int],
    version: int,
    reason: str,
    rows: Mapping[str, str],
) -> Entry:
    """The entry of a plan: version, reason, counts, fingerprints, what was dropped and added, hashes of dropped rows.

    Args:
        spec: The tokenizer before.
        plan: The plan.
        retired: Ids of the tokens that the tokenizer before never emits.
        version: Version of the tokenizer after.
        reason: Why, in the caller's words.
        rows: For dropped tokens, a hash of their row.
    """
    old, new = plan.kept
    dropped, added = (
        [tokens[i] for i in ids] for ids, tokens in ((plan.dropped, plan.source), (plan.added, plan.target))
    )
    gone = set(dropped)
    return {
        "version": version,
        "reason": reason or plan.headline,
        "source": plan.source_fingerprint,
        "target": plan.target_fingerprint,
        "kept": len(old),
        "dropped": dropped,
        "dropped_ids": plan.dropped.ids.tolist(),
        "added": added,
        "added_ids": plan.added.ids.tolist(),
        # Kept tokens stay in order in all plans that tei makes; others say where each went.
        "order": None if (np.diff(new) > 0).all() else new.tolist(),
        "lost_tokens": [vars(token) for token in spec.added_tokens if token.content in gone],
        "rows": dict(rows),
        **({"retired": sorted(retired)} if retired else {}),
    }


def undone(spec: "TokenizerSpec", entry: Entry) -> tuple["TokenizerSpec", list[int]]:
    """The spec before the plan of an entry, and the ids of tokens that were retired then.

    Raises:
        FileFormatError: If the entry does not fit the spec.
    """
    added = set(entry["added_ids"])
    kept = [token for i, token in enumerate(spec.tokens) if i not in added]
    if entry["order"] is not None:
        kept = [spec.tokens[i] for i in entry["order"]]
    dropped, rest = dict(zip(entry["dropped_ids"], entry["dropped"], strict=True)), iter(kept)
    size = len(kept) + len(dropped)
    tokens = tuple(dropped[i] if i in dropped else next(rest, "") for i in range(size))
    lost, retired = [AddedToken(**fields) for fields in entry["lost_tokens"]], list(entry.get("retired", ()))
    before = _with(spec, tokens, (*lost, *spec.added_tokens))
    found = fingerprint(tokens, rules(spec.scheme.to_json(), retired))
    if found != entry["source"]:
        msg = (
            f"undoing version {entry['version']} gives vocabulary {found}, but its history says {entry['source']}: the "
            "history was altered; load a copy that was saved earlier"
        )
        raise FileFormatError(msg)
    return before, retired


def check_version(version: Any, newest: int, oldest: int) -> int:
    """Refuses versions that the history does not reach.

    Raises:
        InvalidInputError: If there is none with that number.
    """
    if isinstance(version, bool) or not isinstance(version, int) or not oldest <= version <= newest:
        msg = f"version is {version!r}, must be a number from {oldest} to {newest}, the versions the history holds"
        raise InvalidInputError(msg)
    return version
