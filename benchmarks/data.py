"""Vectors and prompts to fill caches with: generated, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.similarity import EmbeddingProvider
from semantic_llm_cache.storage.records import Text

Matrix = npt.NDArray[np.float32]

DIMENSION = 384
EMBEDDER = "bench-ready-384"
_PIECE = 250_000
ANSWER = "It depends on the settings of the account. " * 24  # about 1 KB
SIMILARITY = 0.95
TEXT = Text("bench", "scope", EMBEDDER, "a text whose vector is not kept")
ALSO = "it also asks for the vector of the text, for a miss"


def clustered(count: int, seed: int = 7, common: Matrix | None = None) -> Matrix:
    """Return unit vectors of shape (count, 384) that lie as sentence embeddings of real prompts do.

    A vector is the sum of its area's, its topic's and its own part, plus a direction common to all;
    areas hold some 200 prompts and topics some 8, of sizes that fall off by Zipf's law; one prompt in six
    is another wording of an earlier one. The parts are normal with a spectrum that falls as
    1 / sqrt(8 + i). With 5,000 vectors this gives, beside 5,000 questions embedded with
    all-MiniLM-L6-v2 (in brackets): cosine of random pairs, median .05 (.03), 99 % .31 (.30), 99.9 % .47
    (.47); of nearest neighbours, median .54 (.56), 75 % .62 (.68), 95 % .93 (.90); of 10th neighbours,
    median .39 (.39).

    Args:
        count: how many.
        seed: other seeds give other vectors.
        common: the direction common to all, shape (384,); drawn by default. Pass the same for parts of one set.
    """
    rng = np.random.default_rng(seed)
    spectrum = _spectrum()

    def parts(k: int) -> Matrix:
        return np.asarray(rng.standard_normal((k, DIMENSION), dtype=np.float32) * spectrum)

    areas, topics = max(1, count // 200), max(1, count // 8)
    area_of = rng.choice(areas, size=topics, p=_zipf(areas, 0.7))
    topic_of = rng.choice(topics, size=count, p=_zipf(topics, 0.5))
    rows: Matrix = (0.4 * parts(areas)[area_of] + 0.5 * parts(topics))[topic_of] + 0.75 * parts(count)
    again = np.flatnonzero(rng.random(count) < 1 / 6)
    again = again[again > 0]
    earlier = (rng.random(len(again)) * again).astype(np.int64)
    rows[again] = rows[earlier] + rng.random((len(again), 1), dtype=np.float32) * parts(len(again))
    own = rng.standard_normal(DIMENSION)
    common = own if common is None else common
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows += (0.21 * common / np.linalg.norm(common)).astype(np.float32)
    normalised: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised


def _spectrum() -> Any:
    fall = (8.0 + np.arange(DIMENSION)) ** -0.5
    return (fall / np.sqrt((fall**2).sum())).astype(np.float32)


def _zipf(count: int, power: float) -> Any:
    weights = np.arange(1, count + 1) ** -power
    return weights / weights.sum()


def write_clustered(path: Path, count: int, seed: int = 7) -> None:
    """Write `count` unit vectors to a file, float32, row after row; see `read_vectors`.

    They are made in pieces of a quarter of a million, each with areas and topics of its own, so this needs 2 GB of
    memory at any count.
    """
    common = np.random.default_rng(seed).standard_normal(DIMENSION)
    with path.open("wb") as file:
        for number, first in enumerate(range(0, count, _PIECE)):
            clustered(min(_PIECE, count - first), 1000 * seed + number, common).tofile(file)


def read_vectors(path: Path) -> Matrix:
    """Map a file of vectors, shape (count, 384), read-only."""
    return np.memmap(path, np.float32, "r").reshape(-1, DIMENSION)


def reworded(rows: Matrix, seed: int = 8, low: float = 0.96, high: float = 0.99) -> Matrix:
    """Return for each row a unit vector at a cosine of `low` to `high` with it, as another wording has.

    It differs from the row by as much in every direction.
    """
    rng = np.random.default_rng(seed)
    return _turned(rows, rng.standard_normal(rows.shape, dtype=np.float32), rng, low, high)


def spread(rows: Matrix, seed: int = 8, low: float = 0.96, high: float = 0.99) -> Matrix:
    """Do `reworded`, but let the result differ from the row mostly where rows of `clustered` differ."""
    rng = np.random.default_rng(seed)
    return _turned(rows, rng.standard_normal(rows.shape, dtype=np.float32) * _spectrum(), rng, low, high)


def _turned(rows: Matrix, noise: Any, rng: np.random.Generator, low: float, high: float) -> Matrix:
    noise -= (noise * rows).sum(axis=1, keepdims=True) * rows
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = rng.uniform(low, high, size=(len(rows), 1)).astype(np.float32)
    mixed = cosine * rows + np.sqrt(1 - cosine**2) * noise
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), dtype=np.float32)


def lonely(rows: Matrix, count: int, seed: int = 9) -> list[int]:
    """Return numbers of rows with no other row at a cosine of .9 or more: one right answer to each."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for number in rng.permutation(len(rows)).tolist():
        scores = rows @ rows[number]
        scores[number] = -1.0
        if scores.max() < 0.9:
            found.append(number)
            if len(found) == count:
                break
    return found


_TEMPLATES = (
    ("How do I reset the password of account {}?", "How can I reset the password of account {}?"),
    ("What does error code {} of the printer mean?", "What is the meaning of error code {} of the printer?"),
    ("Where is order number {} at the moment?", "Where can I find order number {} at the moment?"),
    ("Who is responsible for building {}?", "Who is the person responsible for building {}?"),
)  # fmt: skip


def question(number: int) -> str:
    """Return a prompt; no two numbers have the same."""
    return _TEMPLATES[number % len(_TEMPLATES)][0].format(number)


def other_wording(number: int) -> str:
    """Return the same question in other words, with the same facts in it."""
    return _TEMPLATES[number % len(_TEMPLATES)][1].format(number)


class ReadyVectors(EmbeddingProvider):
    """An embedder that looks vectors up in a dict: for what a lookup costs apart from the embedding."""

    def __init__(self, table: dict[str, Matrix], fingerprint: str = EMBEDDER) -> None:
        self._table = table
        self._fingerprint = fingerprint

    @property
    def fingerprint(self) -> str:
        """Name of the vectors."""
        return self._fingerprint

    def encode_batch(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of texts in the table; KeyError for others."""
        return np.stack([self._table[text] for text in texts])

    async def aencode(self, text: str) -> Matrix:
        """`encode`, without a thread."""
        return self._table[text]


class Filling:
    """Entries of one scope, and near questions to them.

    Args:
        size: how many entries.
        queries: how many questions with one right answer each.
    """

    def __init__(self, size: int, queries: int = 64) -> None:
        self.rows = clustered(size)
        self.scope = {"model": "bench"}
        picked = lonely(self.rows, queries)
        self.queries = reworded(self.rows[picked])
        self.prompts = [question(i) for i in range(size)]
        self.wordings = [other_wording(i) for i in picked]
        self.requests = [self.request(wording) for wording in self.wordings]
        self.scope_hash = self.requests[0].scope_hash
        self.embedder = ReadyVectors(dict(zip(self.wordings, self.queries, strict=True)))

    def request(self, text: str) -> Request:
        """Return the request of a text in the scope of the entries."""
        return Request("bench", self.scope, text)

    def items(self, embedder: str = EMBEDDER) -> list[tuple[str, CacheEntry]]:
        """Return keys and entries, for `set_many`."""
        return [
            (
                self.request(prompt).key,
                CacheEntry(
                    prompt, ANSWER, row, ttl=3600.0, namespace="bench", scope=self.scope_hash, embedder=embedder,
                    duration_ms=900.0,
                ),
            )
            for prompt, row in zip(self.prompts, self.rows, strict=True)
        ]  # fmt: skip
