"""Streams of labelled prompts, and a cache in miniature to run policies over them.

The miniature keeps the rules of the engine and none of its costs: an exact tier, the nearest stored
prompts by cosine, a policy, and on a miss the row's own answer, which is stored. Nearest neighbours are
computed once per stream, for all rows; a run only asks which of a row's neighbours are stored by then.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.matching.guards import GuardSet
from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy

__all__ = ["Outcome", "Stream", "embed", "load_streams", "run_online", "run_threshold"]

Array = npt.NDArray[np.float32]
Order = npt.NDArray[np.int64]

NEAR = 0.5  # neighbours at least this near are kept, 400 at most ...
CAP = 400
LEAST = 64  # ... and this many whatever their cosine


@dataclass
class Stream:
    """Rows in which a row's answer is right for another when the two are equal.

    Args:
        name: for the tables.
        prompts, answers: one per row.
        vectors: unit vectors, shape (rows, dimension).
        order: from a generator to the row numbers in the order of asking.
    """

    name: str
    prompts: list[str]
    answers: list[str]
    vectors: Array
    order: Callable[[np.random.Generator], Order]
    starts: npt.NDArray[np.int64] = field(init=False)
    rows: npt.NDArray[np.int32] = field(init=False)
    cosines: Array = field(init=False)

    def __post_init__(self) -> None:
        starts, rows, cosines = [0], [], []
        for first in range(0, len(self.vectors), 1000):
            block = self.vectors[first : first + 1000] @ self.vectors.T
            for offset, line in enumerate(block):
                line[first + offset] = -2.0
                near = np.flatnonzero(line >= NEAR)
                if not LEAST <= len(near) <= CAP:
                    count = min(LEAST if len(near) < LEAST else CAP, len(line) - 1)
                    near = np.argpartition(-line, count - 1)[:count]
                near = near[np.argsort(-line[near], kind="stable")]
                rows.append(near.astype(np.int32))
                cosines.append(line[near].astype(np.float32))
                starts.append(starts[-1] + len(near))
        self.starts = np.array(starts)
        self.rows = np.concatenate(rows)
        self.cosines = np.concatenate(cosines)


@dataclass
class Outcome:
    """The counts of a run. Exact repeats are answered, and count as right."""

    requests: int = 0
    exact: int = 0
    near: int = 0
    wrong: int = 0
    explored: int = 0
    worst: float = 0.0
    """Largest running share of wrong answers among all requests, after the first 1,000."""
    alarms: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of all requests answered from the cache."""
        return (self.exact + self.near) / self.requests

    @property
    def wrong_rate(self) -> float:
        """Wrong answers as a share of all requests."""
        return self.wrong / self.requests

    @property
    def wrong_per_hit(self) -> float:
        """Wrong answers as a share of the near hits (exact ones, always right, left out)."""
        return self.wrong / max(1, self.near)

    def served(self, right: bool) -> None:
        """Count a near hit."""
        self.near += 1
        self.wrong += not right

    def mark(self) -> None:
        """Take note of the running share."""
        if self.requests > 1000:
            self.worst = max(self.worst, self.wrong / self.requests)


class Store:
    """The prompts stored so far, and their nearest."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.stored = np.zeros(len(stream.prompts), dtype=bool)
        self.texts: set[str] = set()
        self._buffer = np.empty_like(stream.vectors)
        self._ids: list[int] = []

    def add(self, row: int) -> None:
        """Store a row's prompt with its answer."""
        self.stored[row] = True
        self.texts.add(self.stream.prompts[row])
        self._buffer[len(self._ids)] = self.stream.vectors[row]
        self._ids.append(row)

    def near(self, row: int, k: int, floor: float) -> list[tuple[int, float]]:
        """Return up to `k` stored rows with their cosines, nearest first, at or above `floor`."""
        first, last = self.stream.starts[row], self.stream.starts[row + 1]
        rows = self.stream.rows[first:last]
        kept = np.flatnonzero(self.stored[rows])[:k]
        cosines = self.stream.cosines[first:last][kept]
        count = int(np.searchsorted(-cosines, -floor + 1e-6, side="right"))
        return list(zip(rows[kept[:count]].tolist(), cosines[:count].tolist(), strict=True))

    def nearest(self, row: int) -> tuple[int, float] | None:
        """Return the nearest stored row, however far."""
        found = self.near(row, 1, -1.0)
        if found:
            return found[0]
        if not self._ids:
            return None
        line = self._buffer[: len(self._ids)] @ self.stream.vectors[row]
        best = int(line.argmax())
        return self._ids[best], float(line[best])


class Raised(Sequence[float]):
    """What the guards say of a pair, asked when the policy reads it: it reads one candidate of sixteen."""

    def __init__(self, guards: GuardSet, prompt: str, candidate: str) -> None:
        self._guards = guards
        self._pair = (prompt, candidate)

    def __len__(self) -> int:
        return len(self._guards)

    def __iter__(self) -> Iterator[float]:
        return iter(self._guards.features(*self._pair).values())

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]


def run_online(
    stream: Stream, policy: OnlinePolicy, order: Order, k: int = 16, guards: GuardSet | None = None
) -> Outcome:
    """Run the online policy over the stream; with `guards`, their verdicts are features of it."""
    store, outcome = Store(stream), Outcome()
    answers, prompts = stream.answers, stream.prompts
    for row in order.tolist():
        outcome.requests += 1
        if prompts[row] in store.texts:
            outcome.exact += 1
            policy.count_exact()
            continue
        found = store.near(row, k, policy.reach)
        views = [
            CandidateView(
                str(i),
                cosine,
                answers[i],
                prompts[i],
                () if guards is None else Raised(guards, prompts[row], prompts[i]),
            )
            for i, cosine in found
        ]
        decision = policy.decide(prompts[row], views)
        right = decision.answer == answers[row]
        if decision.action == "serve":
            outcome.served(right)
            outcome.mark()
            continue
        outcome.explored += decision.action == "explore"
        if decision.key is not None:
            policy.observe(decision, right)
        store.add(row)
    outcome.alarms = policy.summary()["alarms"]
    return outcome


def run_threshold(stream: Stream, threshold: float, order: Order) -> Outcome:
    """Serve the nearest at or above a fixed threshold."""
    store, outcome = Store(stream), Outcome()
    for row in order.tolist():
        outcome.requests += 1
        if stream.prompts[row] in store.texts:
            outcome.exact += 1
            continue
        found = store.near(row, 1, threshold)
        if found:
            outcome.served(stream.answers[found[0][0]] == stream.answers[row])
            outcome.mark()
        else:
            store.add(row)
    return outcome


# ---------------------------------------------------------------------- data


def embed(texts: Sequence[str], name: str, folder: Path | None) -> Array:
    """Return the MiniLM vectors of `texts`, kept in `folder` between runs when one is given."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    path = None if folder is None else folder / f"{name}-{digest}.npy"
    if path is not None and path.exists():
        kept: Array = np.load(path)
        return kept
    from semantic_llm_cache.similarity import OnnxEmbeddingProvider

    provider = OnnxEmbeddingProvider()
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors: Array | None = None
    for first in range(0, len(texts), 64):
        batch = by_length[first : first + 64]
        encoded = provider.encode_batch([texts[i] for i in batch])
        if vectors is None:
            vectors = np.empty((len(texts), encoded.shape[1]), dtype=np.float32)
        vectors[batch] = encoded
    assert vectors is not None
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.npy")
        np.save(part, vectors)
        part.replace(path)
    return vectors


def _jsonl(path: Path, first: int, last: int) -> tuple[list[str], list[str]]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for number, line in enumerate(lines) if first <= number < last]
    return [row["prompt"] for row in rows], [str(row["answer"]) for row in rows]


def _pairs(path: Path) -> tuple[list[str], list[str]]:
    """Each pair's first text, then its second, whose answer is the first's when the label is 1."""
    prompts, answers = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:]):
        a, b, label = line.split("\t")
        prompts += [a, b]
        answers += [f"{number}", f"{number}" if label == "1" else f"{number}b"]
    return prompts, answers


def _shuffled(*sizes: int) -> Callable[[np.random.Generator], Order]:
    """Shuffle each part; the parts stay one after the other."""

    def order(rng: np.random.Generator) -> Order:
        first, parts = 0, []
        for size in sizes:
            parts.append(first + rng.permutation(size))
            first += size
        return np.concatenate(parts)

    return order


def _popular(rows: int, requests: int) -> Callable[[np.random.Generator], Order]:
    """Ask `requests` times, some prompts often: the i-th most popular with weight 1 / i (Zipf)."""

    def order(rng: np.random.Generator) -> Order:
        weights = 1.0 / np.arange(1, rows + 1)
        ranks = rng.permutation(rows)
        drawn: Order = ranks[rng.choice(rows, size=requests, p=weights / weights.sum())]
        return drawn

    return order


def _in_pairs(pairs: int) -> Callable[[np.random.Generator], Order]:
    """Shuffle the pairs; each one's two texts stay together, the first first."""

    def order(rng: np.random.Generator) -> Order:
        first = 2 * rng.permutation(pairs)
        return np.stack([first, first + 1], axis=1).ravel()

    return order


def load_streams(data: Path, names: Sequence[str], part: int = 0, cache: Path | None = None) -> Iterator[Stream]:
    """Yield the named streams: clinc150, qqp, drift, drift_back, repeats, paws.

    `part` 0 is what is reported on (the first 10,000 rows of clinc150, the first 20,000 of qqp); part 1
    is the rows after those, on which the constants of the policy were chosen.
    """
    clinc = _jsonl(data / "clinc150.jsonl", 10_000 * part, 10_000 * (part + 1))
    qqp = _jsonl(data / "qqp_stream.jsonl", 20_000 * part, 20_000 * (part + 1))
    clinc_vectors = embed(clinc[0], "clinc150", cache)
    qqp_vectors = embed(qqp[0], "qqp", cache) if {"qqp", "drift", "drift_back"} & set(names) else None
    for name in names:
        if name == "clinc150":
            yield Stream(name, *clinc, clinc_vectors, _shuffled(len(clinc[0])))
        elif name == "qqp" and qqp_vectors is not None:
            yield Stream(name, *qqp, qqp_vectors, _shuffled(len(qqp[0])))
        elif name in ("drift", "drift_back") and qqp_vectors is not None:
            parts = [(clinc, clinc_vectors), ((qqp[0][:10_000], qqp[1][:10_000]), qqp_vectors[:10_000])]
            if name == "drift_back":
                parts.reverse()
            prompts = parts[0][0][0] + parts[1][0][0]
            answers = parts[0][0][1] + parts[1][0][1]
            vectors = np.concatenate([parts[0][1], parts[1][1]])
            yield Stream(name, prompts, answers, vectors, _shuffled(len(parts[0][1]), len(parts[1][1])))
        elif name == "repeats":
            yield Stream(name, clinc[0][:4000], clinc[1][:4000], clinc_vectors[:4000], _popular(4000, 10_000))
        elif name == "paws":
            prompts, answers = _pairs(data / "paws_wiki_pairs.tsv")
            yield Stream(name, prompts, answers, embed(prompts, "paws", cache), _in_pairs(len(prompts) // 2))
        else:
            raise ValueError(f"unknown stream {name!r}")
