"""What the prompts are about: clusters of their embeddings, learned as calls are made, for `get_stats`."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, OrderedDict
from time import monotonic
from typing import Any

import numpy as np

from semantic_llm_cache.runtime import background
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["STATES", "Clusters", "clusters_of", "kept_summary", "reset", "state_name", "summary"]

_MOST = 32
_ALIKE = 0.4  # a prompt less near than this to every centroid begins a cluster
_MEMORY = 500  # a centroid moves as if it were the mean of at most so many prompts
_WORDS = 120  # words counted per cluster
_KNOWN = 1024  # recent prompts, so that repeating one does not count its words twice; and keys, for verdicts
_SHOWN_FROM = 5  # a word is shown once so many different prompts of the cluster have it ...
_SHOWN_SHARE = 0.1  # ... and this share of them
_IN_LABEL = 3
_NAMESPACES = 16
_LONG = 1000
_PAUSE = 10.0
_WORD = re.compile(r"[^\W\d_]{3,20}")
STATES = "categories:"
_STOP = frozenset(
    """
    the and for are was were you your yours with that this these those what when where which who whom whose why
    how can could would should will shall may might must does did has have had not but from into about than then
    there their they them its our ours his her him she let get got give tell please want need like just some any
    all more most much many one two way make use using used between out over under also very been being able
    know help explain write list find der die das und ist ein eine wie was wer wann les des une que qui est pour
    dans sur por para los las con una como qué che non per del della het een van voor wat jak jest czy
    """.split()  # noqa: SIM905
)


class Clusters:
    """Clusters of the prompts of one namespace, at most 32: k-means, one prompt at a time.

    A prompt joins the nearest centroid, which moves towards it. One that is near to none begins a cluster, while there
    is room. No prompt is kept: only centroids, counts, and how often a word occurs.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # reentrant: the garbage collector may close a plain stream meanwhile
        self._embedder = ""
        self._due = 0.0
        self._clear()

    def _clear(self) -> None:
        self._centroids: Any = None
        self._clusters: list[_Cluster] = []
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._by_key: OrderedDict[str, _Cluster] = OrderedDict()

    def add(self, vector: Any, embedder: str, text: str, key: str, near: bool) -> None:
        """Count a call.

        Args:
            vector: unit vector of its prompt, shape (d,). Vectors of another embedder than before start again.
            embedder: fingerprint of the embedder.
            text: the prompt; only its words are counted.
            key: the exact key of the call, for `judge`.
            near: whether it was a near hit.
        """
        with self._lock:
            if embedder != self._embedder or (
                self._centroids is not None and vector.shape != self._centroids.shape[1:]
            ):
                self._clear()
                self._embedder = embedder
            cluster = self._cluster(vector)
            cluster.requests += 1
            cluster.near_hits += near
            self._by_key[key] = cluster
            if len(self._by_key) > _KNOWN:
                self._by_key.popitem(last=False)
            seen = hash(text)
            if seen not in self._seen:
                self._seen[seen] = None
                if len(self._seen) > _KNOWN:
                    self._seen.popitem(last=False)
                cluster.read(text)

    def judge(self, key: str, right: bool) -> None:
        """Count a verdict on the answer to a recent call."""
        with self._lock:
            cluster = self._by_key.get(key)
            if cluster is not None:
                cluster.judged += 1
                cluster.wrong += not right

    def _cluster(self, vector: Any) -> _Cluster:
        """Return the cluster of a vector, which moves towards it."""
        if self._centroids is None:
            self._centroids = np.zeros((_MOST, len(vector)), dtype=np.float32)
        used = len(self._clusters)
        if used:
            near = self._centroids[:used] @ vector
            best = int(near.argmax())
            if near[best] >= _ALIKE or used == _MOST:
                cluster = self._clusters[best]
                weight = min(cluster.requests, _MEMORY)
                moved = self._centroids[best] * weight
                moved += vector
                self._centroids[best] = moved / max(float(moved.dot(moved)) ** 0.5, 1e-9)
                return cluster
        self._centroids[len(self._clusters)] = vector
        made = _Cluster()
        self._clusters.append(made)
        return made

    def due(self) -> bool:
        """Return whether the summary should be written to the backend again: every ten seconds while calls are made."""
        now = monotonic()
        if now < self._due:
            return False
        self._due = now + _PAUSE
        return True

    def to_bytes(self) -> bytes:
        """Return the summary as it is kept in a backend."""
        return json.dumps(self.summary()).encode("ascii")

    def summary(self) -> list[dict[str, Any]]:
        """Return the clusters, largest first, as `get_stats` has them."""
        with self._lock:
            everywhere: Counter[str] = Counter()
            for cluster in self._clusters:
                everywhere.update(cluster.words)
            ordered = sorted(self._clusters, key=lambda cluster: -cluster.requests)
            return [cluster.record(everywhere) for cluster in ordered]


class _Cluster:
    """The counts of one cluster."""

    def __init__(self) -> None:
        self.requests = self.near_hits = self.judged = self.wrong = self.prompts = 0
        self.words: Counter[str] = Counter()

    def read(self, text: str) -> None:
        """Count the words of a prompt, each once."""
        self.prompts += 1
        self.words.update(set(_WORD.findall(text[:_LONG].lower())) - _STOP)
        if len(self.words) > _WORDS:  # as in the algorithm of Misra and Gries: frequent words stay
            self.words = Counter({word: count - 1 for word, count in self.words.items() if count > 1})

    def record(self, everywhere: Counter[str]) -> dict[str, Any]:
        least = max(_SHOWN_FROM, _SHOWN_SHARE * self.prompts)
        # Frequent here, and more so than elsewhere.
        known = {word: count / everywhere[word] ** 0.5 for word, count in self.words.items() if count >= least}
        label = sorted(known, key=lambda word: (-known[word], word))[:_IN_LABEL]
        return {
            "label": ", ".join(label),
            "requests": self.requests,
            "near_hits": self.near_hits,
            "near_hit_rate": self.near_hits / self.requests if self.requests else 0.0,
            "judged": self.judged,
            "wrong_rate": self.wrong / self.judged if self.judged else None,
        }


_lock = threading.RLock()
_known: OrderedDict[str, Clusters] = OrderedDict()


def clusters_of(namespace: str) -> Clusters:
    """Return the clusters of a namespace in this process. Only the 16 namespaces used last are kept."""
    found = _known.get(namespace)
    if found is None:
        with _lock:
            found = _known.setdefault(namespace, Clusters())
            if len(_known) > _NAMESPACES:
                _known.popitem(last=False)
    return found


def state_name(namespace: str) -> str:
    """Return the name under which a backend keeps the summary of a namespace."""
    return f"{STATES}{namespace}"


async def kept_summary(backend: StorageBackend, namespace: str | None = None) -> list[dict[str, Any]]:
    """Return what `summary` does, as the process that wrote last saw it."""
    records = []
    for name in await backend.list_states(STATES):
        space = name[len(STATES) :]
        value = await backend.get_state(name) if namespace in (None, space) else None
        try:
            found = json.loads(value) if value else []
            records += [{"namespace": space, **record} for record in found]
        except (ValueError, TypeError):
            continue
    return sorted(records, key=lambda record: -record["requests"])


def summary(namespace: str | None = None) -> list[dict[str, Any]]:
    """Return the clusters of one namespace, or of all, each with its namespace, largest first."""
    with _lock:
        chosen = [(name, found) for name, found in _known.items() if namespace is None or name == namespace]
    records = [{"namespace": name, **record} for name, found in chosen for record in found.summary()]
    return sorted(records, key=lambda record: -record["requests"])


def reset(namespace: str | None = None) -> None:
    """Forget the clusters of one namespace, or of all."""
    with _lock:
        for name in list(_known) if namespace is None else [namespace]:
            _known.pop(name, None)


def _reset_after_fork() -> None:
    # Forget all: in a forked child, another thread may have held a lock.
    global _lock
    _lock = threading.RLock()
    _known.clear()


background.after_fork(_reset_after_fork)
