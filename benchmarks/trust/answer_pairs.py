"""Pairs of answers to one question, labelled with whether both say the same: `answer_pairs.jsonl`.

The file is ours, under the project's licence, and was written before the judge of answers was tuned. A coin splits it
in two: the judge is tuned on one half, `tuning`, together with `answer_pairs_more.jsonl`, which was written later for
that alone. The other half, `held_out`, shows how good it is.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

__all__ = ["AnswerPair", "held_out", "load_pairs", "tuning"]

_FILE = Path(__file__).with_name("answer_pairs.jsonl")
_MORE = Path(__file__).with_name("answer_pairs_more.jsonl")
_SEED = "answer pairs 1"


class AnswerPair(NamedTuple):
    """Two answers to one question.

    Attributes:
        kind: what the pair tests.
        same: whether both answers say the same.
        question, fresh, stored: the texts.
    """

    kind: str
    same: bool
    question: str
    fresh: str
    stored: str


def load_pairs(path: str | Path = _FILE) -> list[AnswerPair]:
    """Read a JSONL file of pairs; a line without "question" is its header."""
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [
        AnswerPair(str(row.get("kind", "")), bool(row["same"]), row["question"], row["fresh"], row["stored"])
        for row in rows
        if "question" in row
    ]


def _coin(pair: AnswerPair) -> bool:
    text = "\n".join((_SEED, pair.question, pair.fresh, pair.stored))
    return hashlib.sha256(text.encode("utf-8")).digest()[0] < 128


def tuning() -> list[AnswerPair]:
    """Return what the judge was tuned on: one half, and the pairs written for tuning only."""
    return [*(pair for pair in load_pairs() if _coin(pair)), *load_pairs(_MORE)]


def held_out() -> list[AnswerPair]:
    """Return the other half."""
    return [pair for pair in load_pairs() if not _coin(pair)]
