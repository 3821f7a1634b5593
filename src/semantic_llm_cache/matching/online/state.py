"""The stored form of an `OnlinePolicy`: a tag, then JSON with its arrays in base64, compressed.

The state names the features that the model's weights belong to, so a later release may add or remove one: what was
learned of the others is kept. Version 1 had no names, version 2 no clusters of answers; both are still read.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.matching.online.features import FEATURE_NAMES
from semantic_llm_cache.matching.online.model import Array

__all__ = ["BUDGET_SETTINGS", "COUNTERS", "SETTINGS", "VERSION", "PolicyState", "dump", "load", "saved_settings"]

VERSION = 3
"""Version of the stored form. Adding or removing a feature does not change it; changing what one means does."""

_VERSION_1_BASE = [
    "intercept",
    "similarity",
    "margin",
    "votes_for",
    "votes_against",
    "neighbours_for",
    "neighbours_against",
    "overlap",
    "overlap_for",
    "overlap_against",
    "numbers_differ",
    "negation_differs",
    "record_right",
    "record_wrong",
    "experience",
]
_VERSION_1 = frozenset(
    (
        "identifiers", "versions", "times", "periods", "flags", "code", "urls", "quotes", "operators", "numbers",
        "units", "negation", "antonyms", "direction", "swap", "names", "language", "format", "question", "emoji",
        "accents", "case",
    )
)  # fmt: skip
"""The guards of version 1, whose states hold no names. Never changes: a state of version 2 holds names."""

_TAG = b"slc-online-"
_MOST = 16 * 2**20  # largest JSON in bytes that is read back
COUNTERS: Mapping[str, type[int] | type[float]] = {
    "requests": int,
    "exact": int,
    "decided": int,
    "hits": int,
    "explored": int,
    "spent": float,
    "explored_judged": float,
    "explored_wrong": float,
    "explored_expected": float,
    "rehearsed": int,
    "rehearsed_wrong": float,
    "noise_allowed": float,
}
"""The counters of a running budget and their types. The stored form puts an underscore before each name."""
SETTINGS = (
    "max_error", "max_error_per_hit", "floor", "seed", "confidence", "explore", "judge_error", "noise",
    "extra_features",
)  # fmt: skip
"""The settings that are saved."""
BUDGET_SETTINGS = ("max_error", "max_error_per_hit", "confidence", "explore", "judge_error", "noise")
"""The settings that a running budget depends on: it cannot continue with others."""


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What a policy has learned and spent, as plain data.

    Attributes:
        settings: the values of `SETTINGS`.
        extra_names: the names of the extra features; None where only their number is known.
        key, draws: the random generator: its key of 8 bytes, and how many numbers it has drawn.
        counters: the values of `COUNTERS`.
        audit: evidence masses of the audit.
        noise: sums of the pairs of fresh answers.
        weights, covariance: the model's posterior, shapes (d,) and (d, d); the d features are `FEATURE_NAMES`, then
            the extra ones.
        count: outcomes that the model has learned.
        actual, predicted, seen: sums per bin of the recalibration.
        cusum: sums of the change detector.
        recent: error probabilities of the last decisions.
        price, hold, misses, outcomes, alarms: as in the policy.
        records: digest of an answer -> how often it was right and how often wrong.
        clusters: digest of an answer -> digest that names the cluster of answers that say the same.
    """

    settings: Mapping[str, Any]
    extra_names: Sequence[str] | None
    key: bytes
    draws: int
    counters: Mapping[str, float]
    audit: list[float]
    noise: list[float]
    weights: Array
    covariance: Array
    count: int
    actual: Array
    predicted: Array
    seen: Array
    cusum: list[float]
    recent: Array
    price: float
    hold: int
    misses: int
    outcomes: float
    alarms: int
    records: Mapping[int, list[int]]
    clusters: Mapping[int, int]


def _pack(array: Any, dtype: str) -> str:
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode("ascii")


def _unpack(text: str, dtype: str, shape: tuple[int, ...]) -> Any:
    array = np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype)
    if array.size != int(np.prod(shape)):
        raise ValueError(f"an array of {array.size} numbers where {shape} was expected")
    return array.reshape(shape)


def _floats(text: str, dtype: str, shape: tuple[int, ...]) -> Array:
    array: Array = _unpack(text, dtype, shape).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a number that is not finite")
    return array


def dump(state: PolicyState) -> bytes:
    """Return `state` in the stored form."""
    counts = np.minimum(np.array(list(state.records.values()), dtype=np.int64).reshape(-1, 2), 2**16 - 1)
    document = {
        "settings": dict(state.settings),
        "base_names": FEATURE_NAMES,
        "extra_names": state.extra_names,
        "key": state.key.hex(),
        "draws": state.draws,
        "counters": {f"_{name}": value for name, value in state.counters.items()},
        "audit": state.audit[0],
        "more_audit": state.audit[1:],
        "noise": state.noise,
        "weights": _pack(state.weights, "<f8"),
        "covariance": _pack(state.covariance, "<f8"),
        "count": state.count,
        "actual": _pack(state.actual, "<f8"),
        "predicted": _pack(state.predicted, "<f8"),
        "seen": _pack(state.seen, "<f8"),
        "cusum": state.cusum,
        "recent": _pack(state.recent, "<f8"),
        "price": state.price,
        "hold": state.hold,
        "misses": state.misses,
        "outcomes": state.outcomes,
        "alarms": state.alarms,
        "answers": _pack(np.array(list(state.records), dtype=np.uint64), "<u8"),
        "records": _pack(counts, "<u2"),
        "clusters": _pack(np.array([*state.clusters.items()], dtype=np.uint64).reshape(-1, 2), "<u8"),
    }
    return _TAG + b"%d\n" % VERSION + zlib.compress(json.dumps(document).encode("ascii"))


def _read(data: bytes) -> dict[str, Any]:
    head, _, body = bytes(data).partition(b"\n")
    if head not in [_TAG + b"%d" % version for version in range(1, VERSION + 1)]:
        raise CacheSerializationError(
            f"not a state of an online policy of version 1 to {VERSION} (it begins {bytes(data[:24])!r}):"
            " remove it, and the policy starts to learn again"
        )
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(body, _MOST)
        if not unpacker.eof:
            raise ValueError("cut short, or too large")
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("no mapping")
        if head == _TAG + b"1":
            document["base_names"], document["extra_names"] = list(_VERSION_1_BASE), None
        if head != _TAG + b"%d" % VERSION:
            _complete(document)
        _add_noise(document)
        return document
    except (zlib.error, ValueError) as error:
        raise _damaged(error) from error


def _setting(document: dict[str, Any], name: str) -> Any:
    value = document["settings"][name]
    return tuple(value) if isinstance(value, list) else value  # JSON knows no tuples


def _complete(document: dict[str, Any]) -> None:
    """Add what versions before 3 did not have: judges that err, and clusters."""
    document.setdefault("clusters", "")
    settings, counters = document.get("settings"), document.get("counters")
    if isinstance(settings, dict):
        settings.setdefault("judge_error", None)  # unknown: the budget goes on with any
    if isinstance(counters, dict) and "_explored_wrong" in counters:
        counters.setdefault("_explored_judged", counters["_explored_wrong"])


def _add_noise(document: dict[str, Any]) -> None:
    """Add what states did not have before there was `noise=`."""
    document.setdefault("more_audit", [])
    document.setdefault("noise", [0.0, 0.0, 0.0])
    for part, name, value in (("settings", "noise", None), ("counters", "_noise_allowed", 0.0)):
        if isinstance(document.get(part), dict):
            document[part].setdefault(name, value)


def _damaged(error: Exception) -> CacheSerializationError:
    return CacheSerializationError(
        f"the state of the online policy is damaged ({type(error).__name__}): remove it, and the policy starts to "
        "learn again"
    )


def saved_settings(data: bytes) -> dict[str, Any]:
    """Return the arguments with which the saved policy was created."""
    document = _read(data)
    try:
        settings = {name: _setting(document, name) for name in SETTINGS}
        if settings["judge_error"] is None:
            del settings["judge_error"]
        if document["extra_names"] is not None:
            settings["extra_features"] = tuple(document["extra_names"])
        return settings
    except (KeyError, TypeError) as error:
        raise _damaged(error) from error


def _extra_names(document: dict[str, Any], like: PolicyState) -> list[str]:
    """Return the names of the saved extra features. Raises CacheSerializationError where they cannot be known."""
    count, names = document["settings"]["extra_features"], document["extra_names"]
    if like.extra_names is None:
        # Without names only an equal number can be the same features.
        if count == like.settings["extra_features"]:
            return _names(like)[len(FEATURE_NAMES) :]
    elif names is not None:
        return [str(name) for name in names]
    else:
        known = [name for name in like.extra_names if name in _VERSION_1]
        for candidate in (known, list(like.extra_names)):
            if len(candidate) == count:
                return candidate
    raise CacheSerializationError(
        f"the state was learned with extra_features={count}, this policy has {like.settings['extra_features']}, and"
        " not both have names for them: give it the same, or remove the state"
    )


def _names(state: PolicyState) -> list[str]:
    extra = state.extra_names
    if extra is None:
        extra = tuple(str(number) for number in range(state.settings["extra_features"]))
    # Marked, so that a user's guard may have the name of a built-in feature.
    return [*FEATURE_NAMES, *(f"extra {name}" for name in extra)]


def _carried_over(document: dict[str, Any], like: PolicyState, prior: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the saved weights and covariance in the order of the features of `like`.

    The saved posterior is a Gaussian: without the rows of some features it is the posterior of the others. A feature
    that it does not know gets its prior, independent of the rest.
    """
    extra = _extra_names(document, like)
    marked = extra if like.extra_names is None else [f"extra {name}" for name in extra]
    saved = [*map(str, document["base_names"]), *marked]
    if len(set(saved)) < len(saved):
        raise ValueError("two features of one name")
    size = len(saved)
    weights = _floats(document["weights"], "<f8", (size,))
    covariance = _floats(document["covariance"], "<f8", (size, size))
    np.linalg.cholesky(covariance)  # raises LinAlgError for what is no covariance
    at = {name: place for place, name in enumerate(saved)}
    ours = _names(like)
    here = [place for place, name in enumerate(ours) if name in at]
    there = [at[ours[place]] for place in here]
    new_weights, new_covariance = prior[0].copy(), prior[1].copy()
    new_weights[here] = weights[there]
    new_covariance[np.ix_(here, here)] = covariance[np.ix_(there, there)]
    return new_weights, new_covariance


def load(data: bytes, like: PolicyState, prior: tuple[Array, Array]) -> PolicyState:
    """Return a saved state for the policy whose present state is `like`.

    The settings are the saved ones. The weights and the covariance are those of the policy's own features; one that
    the saved state does not know has its `prior` (mean, covariance).

    Raises:
        CacheSerializationError: damaged, of an unknown version, or with features that cannot be matched.
    """
    document = _read(data)
    try:
        state = _plain(document, like, prior)
        numbers = [state.price, state.outcomes, *state.noise]
        whole = [state.draws, state.count, state.hold, state.misses, state.alarms]
        finite = np.isfinite([*numbers, *state.audit, *state.counters.values(), *state.cusum]).all()
        if not finite or len(state.key) != 8:
            raise ValueError("a counter that is no number")
        if min(*numbers, *whole, *state.cusum) < 0.0:
            raise ValueError("a counter below zero")
        if len(state.cusum) != len(like.cusum) or len(state.noise) != len(like.noise):
            raise ValueError("sums of another detector")
    except CacheSerializationError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        raise _damaged(error) from error
    return state


def _plain(document: dict[str, Any], like: PolicyState, prior: tuple[Array, Array]) -> PolicyState:
    """Return the content of a stored document; its numbers are not checked yet."""
    weights, covariance = _carried_over(document, like, prior)
    answers = np.frombuffer(base64.b64decode(document["answers"], validate=True), dtype="<u8").tolist()
    records = _unpack(document["records"], "<u2", (len(answers), 2)).tolist()
    clusters = np.frombuffer(base64.b64decode(document["clusters"], validate=True), dtype="<u8").reshape(-1, 2).tolist()
    return PolicyState(
        settings={name: _setting(document, name) for name in SETTINGS},
        extra_names=like.extra_names,
        key=bytes.fromhex(document["key"]),
        draws=int(document["draws"]),
        counters={name: kind(document["counters"][f"_{name}"]) for name, kind in COUNTERS.items()},
        audit=[float(mass) for mass in (document["audit"], *document["more_audit"])],
        noise=[float(value) for value in document["noise"]],
        weights=weights,
        covariance=covariance,
        count=int(document["count"]),
        actual=_floats(document["actual"], "<f8", like.actual.shape),
        predicted=_floats(document["predicted"], "<f8", like.predicted.shape),
        seen=_floats(document["seen"], "<f8", like.seen.shape),
        cusum=[float(value) for value in document["cusum"]],
        recent=_floats(document["recent"], "<f8", like.recent.shape),
        price=float(document["price"]),
        hold=int(document["hold"]),
        misses=int(document["misses"]),
        outcomes=float(document["outcomes"]),
        alarms=int(document["alarms"]),
        records=dict(zip(answers, records, strict=True)),
        clusters=dict(clusters),
    )
