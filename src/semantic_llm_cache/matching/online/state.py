"""The stored form of an `OnlinePolicy`: a tag, then JSON with its arrays in base64, compressed.

The state names the features that the model's weights belong to, so a later release may add or remove one: what was
learned of the others is kept. Version 1 had no names; it is still read.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.matching.online.features import FEATURE_NAMES

if TYPE_CHECKING:
    from semantic_llm_cache.matching.online.model import Array, Logistic
    from semantic_llm_cache.matching.online.policy import OnlinePolicy

__all__ = ["VERSION", "dump", "load", "saved_settings"]

VERSION = 2
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
_VERSION_1_LACKED = frozenset(("rider",))
"""Guards younger than version 1, whose states hold the others in their present order. Closed: version 2 has names."""

_TAG = b"slc-online-"
_MOST = 16 * 2**20  # bytes of JSON that are read back
_COUNTERS = (
    "_requests",
    "_exact",
    "_decided",
    "_hits",
    "_explored",
    "_spent",
    "_explored_wrong",
    "_explored_expected",
    "_rehearsed",
    "_rehearsed_wrong",
)
_SETTINGS = ("max_error", "max_error_per_hit", "floor", "seed", "confidence", "explore", "extra_features")
_BUDGET = ("max_error", "max_error_per_hit", "confidence", "explore")  # what a running budget depends on


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


def dump(policy: OnlinePolicy) -> bytes:
    """Return the state of `policy`; its lock is held."""
    model, recalibration = policy._model, policy._recalibration
    records = policy._records
    counts = np.minimum(np.array(list(records.values()), dtype=np.int64).reshape(-1, 2), 2**16 - 1)
    state = {
        "settings": {name: getattr(policy, name) for name in _SETTINGS},
        "base_names": FEATURE_NAMES,
        "extra_names": policy.extra_names,
        "key": policy._key.hex(),
        "draws": policy._draws,
        "counters": {name: getattr(policy, name) for name in _COUNTERS},
        "audit": policy._audit.mass,
        "weights": _pack(model.weights, "<f8"),
        "covariance": _pack(model.covariance, "<f8"),
        "count": model.count,
        "actual": _pack(recalibration.actual, "<f8"),
        "predicted": _pack(recalibration.predicted, "<f8"),
        "seen": _pack(recalibration.seen, "<f8"),
        "cusum": policy._detector.sums,
        "recent": _pack(policy._recent, "<f8"),
        "price": policy._price,
        "hold": policy._hold,
        "misses": policy._misses,
        "outcomes": policy._outcomes,
        "alarms": policy._alarms,
        "answers": _pack(np.array(list(records), dtype=np.uint64), "<u8"),
        "records": _pack(counts, "<u2"),
    }
    return _TAG + b"%d\n" % VERSION + zlib.compress(json.dumps(state).encode("ascii"))


def _read(data: bytes) -> dict[str, Any]:
    head, _, body = bytes(data).partition(b"\n")
    if head not in (_TAG + b"1", _TAG + b"%d" % VERSION):
        raise CacheSerializationError(
            f"not a state of an online policy of version 1 or {VERSION} (it begins {bytes(data[:24])!r}):"
            " remove it, and the policy starts to learn anew"
        )
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(body, _MOST)
        if not unpacker.eof:
            raise ValueError("cut short, or too large")
        state = json.loads(text)
        if not isinstance(state, dict):
            raise ValueError("no mapping")
        if head == _TAG + b"1":
            state["base_names"], state["extra_names"] = list(_VERSION_1_BASE), None
        return state
    except (zlib.error, ValueError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> CacheSerializationError:
    return CacheSerializationError(
        f"the state of the online policy is damaged ({type(error).__name__}): remove it, and the policy starts to "
        "learn anew"
    )


def saved_settings(data: bytes) -> dict[str, Any]:
    """Return the arguments that the saved policy was made with."""
    state = _read(data)
    try:
        settings = {name: state["settings"][name] for name in _SETTINGS}
        if state["extra_names"] is not None:
            settings["extra_features"] = tuple(state["extra_names"])
        return settings
    except (KeyError, TypeError) as error:
        raise _damaged(error) from error


def _extra_names(policy: OnlinePolicy, state: dict[str, Any]) -> list[str]:
    """Return the names of the saved extra features. Raises CacheSerializationError where they cannot be known."""
    count, names = state["settings"]["extra_features"], state["extra_names"]
    if policy.extra_names is None:
        # Without names only an equal number can be the same features.
        if count == policy.extra_features:
            return _names(policy)[len(FEATURE_NAMES) :]
    elif names is not None:
        return [str(name) for name in names]
    else:
        known = [name for name in policy.extra_names if name not in _VERSION_1_LACKED]
        for candidate in (known, list(policy.extra_names)):
            if len(candidate) == count:
                return candidate
    raise CacheSerializationError(
        f"the state was learned with extra_features={count}, this policy has {policy.extra_features}, and not both"
        " have names for them: give it the same, or remove the state"
    )


def _names(policy: OnlinePolicy) -> list[str]:
    extra = policy.extra_names
    if extra is None:
        extra = tuple(str(number) for number in range(policy.extra_features))
    # Marked, so that a guard of one's own may bear the name of a built-in feature.
    return [*FEATURE_NAMES, *(f"extra {name}" for name in extra)]


def _carried_over(policy: OnlinePolicy, state: dict[str, Any]) -> tuple[Array, Array]:
    """Return the saved weights and covariance in the order of the policy's own features.

    The saved posterior is a Gaussian: leaving rows out of it is what it says of the others alone, and a feature that
    it knows nothing of has its prior, independent of the rest.
    """
    extra = _extra_names(policy, state)
    marked = extra if policy.extra_names is None else [f"extra {name}" for name in extra]
    saved = [*map(str, state["base_names"]), *marked]
    if len(set(saved)) < len(saved):
        raise ValueError("two features of one name")
    size = len(saved)
    weights = _floats(state["weights"], "<f8", (size,))
    covariance = _floats(state["covariance"], "<f8", (size, size))
    np.linalg.cholesky(covariance)  # refuses what no posterior can have
    at = {name: place for place, name in enumerate(saved)}
    ours = _names(policy)
    here = [place for place, name in enumerate(ours) if name in at]
    there = [at[ours[place]] for place in here]
    new_weights, new_covariance = _prior(policy._model)
    new_weights[here] = weights[there]
    new_covariance[np.ix_(here, here)] = covariance[np.ix_(there, there)]
    return new_weights, new_covariance


def _prior(model: Logistic) -> tuple[Array, Array]:
    covariance = np.diag(1.0 / np.diag(model.prior_precision))
    return covariance @ model.prior_shift, covariance


def load(policy: OnlinePolicy, data: bytes) -> None:
    """Put a saved state into `policy`, whose lock is held; on an error it is left as it was."""
    state = _read(data)
    try:
        settings = state["settings"]
        weights, covariance = _carried_over(policy, state)
        bins = policy._recalibration.BINS
        actual = _floats(state["actual"], "<f8", (bins,))
        predicted = _floats(state["predicted"], "<f8", (bins,))
        seen = _floats(state["seen"], "<f8", (bins,))
        recent = _floats(state["recent"], "<f8", policy._recent.shape)
        answers = np.frombuffer(base64.b64decode(state["answers"], validate=True), dtype="<u8").tolist()
        records = _unpack(state["records"], "<u2", (len(answers), 2)).tolist()
        counters = {name: type(getattr(policy, name))(state["counters"][name]) for name in _COUNTERS}
        numbers = {name: float(state[name]) for name in ("audit", "price", "outcomes")}
        sums = [float(value) for value in state["cusum"]]
        whole = {name: int(state[name]) for name in ("draws", "count", "hold", "misses", "alarms")}
        key = bytes.fromhex(state["key"])
        if not np.isfinite([*numbers.values(), *counters.values(), *sums]).all() or len(key) != 8:
            raise ValueError("a counter that is no number")
        if min(*numbers.values(), *whole.values(), *sums) < 0.0:
            raise ValueError("a counter below zero")
        if len(sums) != len(policy._detector.sums):
            raise ValueError("sums of another detector")
    except CacheSerializationError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        raise _damaged(error) from error

    policy._model.weights, policy._model.covariance = weights, covariance
    policy._model.count = whole["count"]
    policy._recalibration.actual, policy._recalibration.predicted = actual, predicted
    policy._recalibration.seen = seen
    policy._recalibration.refresh()
    policy._detector.sums = sums
    policy._recent = recent
    policy._hold, policy._misses, policy._alarms = whole["hold"], whole["misses"], whole["alarms"]
    policy._outcomes = numbers["outcomes"]
    policy._records.clear()
    policy._records.update(zip(answers, records, strict=True))
    if policy.seed is not None and key == policy._key:
        policy._draws = whole["draws"]
    if all(settings[name] == getattr(policy, name) for name in _BUDGET):
        for name, value in counters.items():
            setattr(policy, name, value)
        policy._audit.mass = numbers["audit"]
        policy._price = numbers["price"]
    else:
        policy._restart_budget()
        policy._price = 0.0
