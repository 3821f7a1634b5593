"""The last layer: how much of the shorter answer the longer one says, sentence by sentence, in words and in meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.matching.answers.claims import Claim, claim
from semantic_llm_cache.matching.answers.conflicts import KINDS, conflicts
from semantic_llm_cache.matching.answers.exact import Finding, polarity
from semantic_llm_cache.matching.answers.refusals import is_open
from semantic_llm_cache.matching.answers.said import Said, Word, content, missing
from semantic_llm_cache.matching.answers.slots import frame, unanswered_part
from semantic_llm_cache.matching.answers.text import chunks
from semantic_llm_cache.matching.answers.values import agree, facing, values

__all__ = ["Evidence", "Texts", "gather", "needed", "settled"]

Array = npt.NDArray[np.float32]

_MOST_SENTENCES = 60
_MOST_WORDS = 12
_ALL = 0.99  # share of words found from which an answer is all said
_CLAIMED = 0.6
_IN_PASSING = 0.3
_SAME_FRAME = 0.5  # two sentences with this share of their words in the same order say the same but for a difference
_NAMES_FRAME = 0.3
_SAME_FRAME_SLOT = 0.7
_NARROW_FRAME_SLOT = 0.6
_NARROW = 6
_LABELLED = 40  # characters of an answer in which another letter is another thing: "vitamin C", "hepatitis A"
_NEAR_WORDS = 0.7  # cosine of two words that may be synonyms
_CHUNK = 800  # characters of one chunk of a long answer: well within what an embedder reads


class Texts(NamedTuple):
    """The texts to embed in one batch, and which part of the batch is what."""

    batch: list[str]
    short: slice
    long: slice
    short_whole: slice
    long_whole: slice
    short_words: slice
    long_words: slice
    question: slice
    short_rest: slice
    long_rest: slice
    short_lone: slice
    long_lone: slice


class Evidence(NamedTuple):
    """What the last layer knows about two answers: the features of its model, and what conflicts."""

    features: dict[str, float]
    conflicts: dict[str, str]
    claim: Claim


def _parts(said: Said) -> list[str]:
    """Return the sentences; those of a very long answer are joined, so that none is left out."""
    parts = said.sentences
    if len(parts) <= _MOST_SENTENCES:
        return parts
    size = -(-len(parts) // _MOST_SENTENCES)
    return [" ".join(parts[i : i + size]) for i in range(0, len(parts), size)]


def _odd(short: Said, long: Said) -> tuple[list[Word], list[Word]]:
    """Return the words that only one of two answers holds."""
    return missing(short.words, long.words), missing(long.words, short.words)


def needed(short: Said, long: Said) -> Texts:
    """Return what to embed."""
    batch: list[str] = []

    def add(texts: Sequence[str]) -> slice:
        batch.extend(texts)
        return slice(len(batch) - len(texts), len(batch))

    ours, theirs = _odd(short, long)
    return Texts(
        batch,
        add(_parts(short)),
        add(_parts(long)),
        add(chunks(short.text, _CHUNK)),
        add(chunks(long.text, _CHUNK)),
        add([w.written for w in ours[:_MOST_WORDS]]),
        add([w.written for w in theirs[:_MOST_WORDS]]),
        add([short.question] if short.question else []),
        add(chunks(_rest(short), _CHUNK)),
        add(chunks(_rest(long), _CHUNK)),
        add(chunks(" ".join(w.written for w in ours) or "-", _CHUNK)),
        add(chunks(" ".join(w.written for w in theirs) or "-", _CHUNK)),
    )


def _rest(said: Said) -> str:
    """Return an answer without the words of the question: what it adds; "-" when it adds nothing."""
    asked = {w.stem for w in said.asked}
    drop = {w.written for w in said.words if w.stem in asked}
    return " ".join(token for token in said.text.split() if token.strip(".,;:!?\"'()") not in drop) or "-"


def _mean(vectors: Array) -> Array:
    total: Array = vectors.sum(axis=0)
    size = float(np.linalg.norm(total))
    return total / size if size else total


def gather(short: Said, long: Said, texts: Texts | None, vectors: Any) -> Evidence:
    """Return the evidence about two answers.

    Args:
        short: the one with less content.
        long: the other.
        texts: from `needed`; None without an embedder.
        vectors: unit vectors of `texts.batch`.
    """
    found = claim(short, long)
    ours, theirs = _odd(short, long)
    parts, others = _parts(short), _parts(long)
    lone = {w.stem for w in ours}
    sides = polarity(short) * polarity(long)
    shared = float(bool(short.values) and not _lone_values(short, long))
    features = {
        "covered": 1.0 - len(ours) / len(short.words) if short.words else shared,
        "new covered": 1.0 - sum(w.stem in lone for w in short.new) / len(short.new) if short.new else shared,
        "shared value": shared,
        "back covered": 1.0 - len(theirs) / max(1, len(long.words)),
        "both odd": min(len(ours), len(theirs)) / max(1.0, len(short.words)),
        "place": found.place,
        "against": float(found.against),
        "rival": float(bool(found.rival)),
        "open": float(is_open(short.text) != is_open(long.text)),
        "same side": float(max(sides, 0)),
        "short": float(short.is_short),
        "length": float(np.log(max(1, len(long.text)) / max(1, len(short.text)))),
        "sentences": float(np.log(max(1, len(parts)))),
        "lone name": float(any(w.name for w in ours if w in short.new)),
        "lone label": float(len(long.text) <= _LABELLED and any(w.name and len(w.stem) == 1 for w in (*ours, *theirs))),
        "lone value": _lone_values(short, long),
    }
    if texts is None:
        table = _word_matches(parts, others)
    else:
        table = vectors[texts.short] @ vectors[texts.long].T
        features.update(_near(texts, vectors, table))
    matches = [int(row.argmax()) for row in table]
    against: dict[str, str] = {}
    counts = dict.fromkeys(KINDS, 0.0)
    frames = [frame(parts[i], others[j]) for i, j in enumerate(matches)]
    for i, j in enumerate(matches):
        clash = conflicts(parts[i], others[j], short.question, (short.text, long.text))
        if sides > 0:
            clash.pop("negation", None)
        for kind, reason in clash.items():
            # What differs in the same frame is a difference; in other words it may be only other words.
            counts[kind] += 1.0 if kind in ("values", "names") else frames[i]
            against.setdefault(kind, reason)
    features.update({kind: count / len(matches) for kind, count in counts.items()})
    features["frame"] = max(frames)
    return Evidence(features, against, found)


def settled(short: Said, long: Said, evidence: Evidence) -> Finding | None:
    """Return what the evidence settles by rule; None leaves it to the model."""
    features, found, against = evidence.features, evidence.claim, evidence.conflicts
    if not short.words and not values(short.text):
        return Finding("other words", "one answer has no words to compare")
    part = unanswered_part(short, long)
    if part:
        return Finding("other claim", f"only one answers the part {part!r} of the question")
    if short.is_short and features["lone label"]:
        return Finding("other claim", "a label of one letter is in one answer only")
    whole = short.is_short or features["covered"] >= _ALL
    if found.place >= _CLAIMED and not (found.against or found.rival or against) and whole:
        return Finding("same claim", "the longer answer claims what the shorter one says")
    if short.is_short:
        finding = _other_claim(features, found)
        if finding is not None:
            return finding
    if "names" in against and features["frame"] >= _NAMES_FRAME:
        return Finding("conflict", f"names: {against['names']}")
    clear = {kind for kind in against if kind != "slot" or _is_one_word(short, long, features)}
    if clear and (features["frame"] >= _SAME_FRAME or (short.is_short and long.is_short and "antonyms" in clear)):
        kind = min(clear, key=KINDS.index)
        return Finding("conflict", f"{kind}: {against[kind]}")
    if _only_other_words(short, long, features):
        return Finding("other words", f"{short.text[:40]!r} and {long.text[:40]!r} share no word")
    return None


def _is_one_word(short: Said, long: Said, features: dict[str, float]) -> bool:
    """Return whether two sentences are the same but for one word that is no synonym."""
    if max(len(short.words), len(long.words)) <= _NARROW:
        return features["slot"] >= _NARROW_FRAME_SLOT
    lone = max(map(len, _odd(short, long)))
    return features["slot"] >= _SAME_FRAME_SLOT and lone <= 1 and features.get("odd words", 0.0) < _NEAR_WORDS


def _other_claim(features: dict[str, float], found: Claim) -> Finding | None:
    if found.against:
        return Finding("other claim", "the longer answer rules it out or leaves it open")
    if found.rival:
        return Finding("other claim", f"the longer answer claims {found.rival!r} instead")
    if found.place == _IN_PASSING and not found.lacking:
        return Finding("other claim", "the longer answer only mentions it")
    if features["lone name"] or features["lone value"]:
        return Finding("other claim", f"the longer answer does not say {found.lacking[0]!r}")
    return None


def _only_other_words(short: Said, long: Said, features: dict[str, float]) -> bool:
    labels = short.is_label and long.is_label
    names = short.is_brief and long.is_brief and max(len(short.words), len(long.words)) <= 3
    if not (labels or names) or features["same side"]:
        return False
    return features["both odd"] > 0 and features.get("odd words", 0.0) < _NEAR_WORDS


def _lone_values(short: Said, long: Said) -> float:
    """Return the share of the shorter answer's values that the longer one lacks."""
    theirs = values(long.text)
    ours = [v for v in short.values if not v.weak]
    if not ours and not short.new and facing(short.values, theirs):
        ours = short.values  # "Two." says nothing else: it is a count
    return sum(not any(agree(v, w) for w in theirs) for v in ours) / max(1, len(ours))


def _near(texts: Texts, vectors: Any, table: Array) -> dict[str, float]:
    """Return the features that cosines give; `table` holds those between the sentences."""
    ours, theirs = _mean(vectors[texts.short_whole]), _mean(vectors[texts.long_whole])
    x, y = vectors[texts.short_words], vectors[texts.long_words]
    features = {
        "whole": float(ours @ theirs),
        "best mean": float(table.max(axis=1).mean()),
        "best least": float(table.max(axis=1).min()),
        "back mean": float(table.max(axis=0).mean()),
        "odd words": float((x @ y.T).max(axis=1).mean()) if len(x) and len(y) else float(not len(x)),
    }
    question = vectors[texts.question]
    if len(question):
        near = sorted((float(ours @ question[0]), float(theirs @ question[0])))
        features["on topic"], features["topic gap"] = near[0], near[1] - near[0]
        ours, theirs = ours - (ours @ question[0]) * question[0], theirs - (theirs @ question[0]) * question[0]
        size = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
        features["beside topic"] = float(ours @ theirs) / size if size > 1e-6 else 1.0
    features["rest"] = float(_mean(vectors[texts.short_rest]) @ _mean(vectors[texts.long_rest]))
    lone = float(_mean(vectors[texts.short_lone]) @ _mean(vectors[texts.long_lone]))
    features["lone words"] = lone if len(x) and len(y) else float(not len(x))
    return features


def _word_matches(parts: Sequence[str], others: Sequence[str]) -> Array:
    """Return for each pair of sentences the share of words of the first that the second holds."""
    table = np.zeros((len(parts), len(others)), dtype=np.float32)
    theirs = [content(o) for o in others]
    for i, part in enumerate(parts):
        ours = content(part)
        for j, other in enumerate(theirs):
            table[i, j] = 1.0 - len(missing(ours, other)) / max(1, len(ours))
    return table
