"""Replays a log prompt by prompt: how many prompts a cache would have answered, and how many wrongly.

The rules are those of the engine. A prompt whose text is stored is an exact hit. Otherwise the policy looks at
the nearest stored prompts, eight for a threshold and sixteen for an error budget, and serves one or none. A
miss stores the row's own answer, as if the model had been called. A hit is right when the answer
served equals the row's own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.matching.answers import AnswerJudge, light
from semantic_llm_cache.matching.guards import GuardFeatures, GuardSet
from semantic_llm_cache.matching.neighbours import Neighbours
from semantic_llm_cache.matching.objections import PairCheck
from semantic_llm_cache.matching.online import CandidateView, OnlinePolicy
from semantic_llm_cache.similarity.base import EmbeddingProvider
from semantic_llm_cache.similarity.differences import unseen_difference

__all__ = ["Answers", "Log", "OnlineRule", "Replay", "Tally", "ThresholdRule", "WrongHit", "replay"]

QUARTERS = 4
_LONG = 80  # characters
_REMEMBERED = 50_000


class _Remembering(EmbeddingProvider):
    """Embeds each text once: the sentences of an answer are compared with those of many others."""

    def __init__(self, encode: Callable[[Sequence[str]], Any]) -> None:
        self._encode = encode
        self._vectors: OrderedDict[str, Any] = OrderedDict()

    @property
    def fingerprint(self) -> str:
        """Its vectors go nowhere."""
        return "replay"

    def encode_batch(self, texts: Sequence[str]) -> Any:
        """Return the vectors of `texts`, computed or remembered."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        found = {text: self._vectors[text] for text in texts if text in self._vectors}
        if new:
            found.update(zip(new, self._encode(new), strict=True))
        for text in new:
            self._vectors[text] = found[text]
        while len(self._vectors) > _REMEMBERED:
            self._vectors.popitem(last=False)
        return np.stack([found[text] for text in texts])


class Answers:
    """The answers of a log, and which of them mean the same.

    Args:
        texts: one answer per row.
        encode: when given, answers that differ in writing are compared by the judge of answers with these vectors, as
            the engine does by default; else they are different.
        questions: the rows' prompts, for the judge.

    Example:
        >>> Answers(["Paris.", "paris", "Rome"]).same(0, 1)
        True
    """

    def __init__(
        self,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Any] | None = None,
        questions: Sequence[str] | None = None,
    ) -> None:
        self.texts = texts
        self.questions = questions
        numbers: dict[str, int] = {}
        self.ids = [numbers.setdefault(text, len(numbers)) for text in texts]
        """A number per row, equal where the answers are exactly equal."""
        meanings: dict[str, int] = {}
        lights = [meanings.setdefault(light(text), len(meanings)) for text in numbers]
        self._light = [lights[number] for number in self.ids]
        self._judge = None if encode is None else AnswerJudge(_Remembering(encode))
        self._judged: dict[tuple[int, int], bool] = {}

    def same(self, row: int, other: int) -> bool:
        """Return whether two rows' answers mean the same; the question is that of `row`."""
        if self._light[row] == self._light[other]:
            return True
        if self._judge is None:
            return False
        pair = (self.ids[row], self.ids[other])
        known = self._judged.get(pair)
        if known is None:
            question = "" if self.questions is None else self.questions[row]
            known = self._judge.compare_now(question, self.texts[row], self.texts[other]).same
            self._judged[pair] = known
        return known

    def long(self, row: int, other: int) -> bool:
        """Return whether both answers are long, so that comparing their text says little."""
        return min(len(self.texts[row]), len(self.texts[other])) > _LONG


@dataclass
class Log:
    """The input of a replay.

    Args:
        prompts: the texts as a cache sees them, see `request.clean_text`.
        answers: of the same rows.
        vectors: unit vectors of the prompts, shape (rows, dimension).
        readable: whether the embedder reads a row's prompt completely; the others are only
            matched exactly. None means that all are readable.
    """

    prompts: Sequence[str]
    answers: Answers
    vectors: npt.NDArray[np.float32]
    readable: Sequence[bool] | None = None


@dataclass
class Tally:
    """Counts for one part of the stream."""

    requests: int = 0
    exact: int = 0
    near: int = 0
    exact_wrong: int = 0
    near_wrong: int = 0
    explored: int = 0

    @property
    def hits(self) -> int:
        """Return the number of requests answered from the cache."""
        return self.exact + self.near

    @property
    def wrong(self) -> int:
        """Return the number of hits whose answer differs from the row's own."""
        return self.exact_wrong + self.near_wrong

    def add(self, other: Tally) -> None:
        """Add the counts of `other`."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class WrongHit(NamedTuple):
    """A hit with another answer than the row's own. `stored` is the row whose prompt matched, `answered` the
    one whose answer was served: another one when the match was an alias.
    """

    similarity: float
    row: int
    stored: int
    answered: int


@dataclass
class Replay:
    """The result of a replay: counts by quarter of the stream, and every wrong near hit."""

    quarters: list[Tally] = field(default_factory=lambda: [Tally() for _ in range(QUARTERS)])
    wrong: list[WrongHit] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        """Return the counts of the whole stream."""
        total = Tally()
        for quarter in self.quarters:
            total.add(quarter)
        return total

    def worst(self, count: int) -> list[WrongHit]:
        """Return the wrong near hits with the highest cosine."""
        return sorted(self.wrong, key=lambda hit: (-hit.similarity, hit.row))[:count]


class Rule(Protocol):
    """Decides about near entries in a replay."""

    k: int
    floor: float
    reach: float

    def exact(self) -> None:
        """Record an exact hit."""

    def decide(
        self, log: Log, row: int, found: list[tuple[int, float]], held: Sequence[int]
    ) -> tuple[int | None, int, bool]:
        """Return the row to serve, or None; on a miss the row whose answer to store; whether it explored.

        `found` are stored rows with cosines, nearest first; `held[i]` is the row whose answer row i holds.
        """
        ...


class ThresholdRule:
    """The nearest stored prompt at or above a threshold to which nothing objects.

    Args:
        similarity: the threshold on max(0, cosine).
        check: guards and residual check.
    """

    k = 8

    def __init__(self, similarity: float, check: PairCheck) -> None:
        self.floor = self.reach = similarity
        self._check = check

    def exact(self) -> None:
        """Do nothing: a threshold learns nothing."""

    def decide(
        self, log: Log, row: int, found: list[tuple[int, float]], held: Sequence[int]
    ) -> tuple[int | None, int, bool]:
        """See `Rule.decide`."""
        prompt = log.prompts[row]
        for candidate, _ in found:
            if self._check.first(prompt, log.prompts[candidate]) is None:
                return candidate, row, False
        return None, row, False


class OnlineRule:
    """The error budget; see `matching.online`.

    Args:
        policy: made with the guards' names as its extra features.
        guards: its features.
        veto: whether the guards refuse too, as when a user names them.
        embedder: asked what it does not see of two texts; None skips that.
    """

    k = 16

    def __init__(
        self,
        policy: OnlinePolicy,
        guards: GuardSet,
        *,
        veto: bool = False,
        embedder: EmbeddingProvider | None = None,
    ) -> None:
        self.policy = policy
        self.floor = policy.floor
        self.reach = policy.reach
        self._guards = guards
        self._veto = veto
        self._embedder = embedder

    def exact(self) -> None:
        """Count it: the bound is a share of all requests."""
        self.policy.count_exact()

    def decide(
        self, log: Log, row: int, found: list[tuple[int, float]], held: Sequence[int]
    ) -> tuple[int | None, int, bool]:
        """See `Rule.decide`."""
        prompt = log.prompts[row]
        if self._embedder is not None:
            embedder = self._embedder
            found = [item for item in found if unseen_difference(embedder, prompt, log.prompts[item[0]]) is None]
        if self._veto:
            found = [item for item in found if self._guards.check(prompt, log.prompts[item[0]]) is None]
        views = [
            CandidateView(
                key=str(candidate),
                similarity=cosine,
                answer=str(log.answers.ids[held[candidate]]),
                prompt=log.prompts[candidate],
                features=GuardFeatures(self._guards, prompt, log.prompts[candidate]),
            )
            for candidate, cosine in found
        ]
        decision = self.policy.decide(prompt, views)
        if decision.key is None:
            return None, row, False
        chosen = int(decision.key)
        if decision.action == "serve":
            return chosen, row, False
        correct = log.answers.same(row, held[chosen])
        self.policy.observe(decision, correct)
        return None, held[chosen] if correct else row, decision.action == "explore"


def replay(log: Log, rule: Rule, *, step: Callable[[], object] = lambda: None) -> Replay:
    """Send the prompts of a log one by one.

    Args:
        log: the rows in the order in which they were asked.
        rule: decides about near entries.
        step: called after each row.

    Example:
        >>> from semantic_llm_cache.matching.guards import resolve_guards
        >>> check = PairCheck(resolve_guards(None), encode=lambda texts: [])
        >>> log = Log(["a", "a'", "b"], Answers(["1", "1", "2"]), np.eye(2, dtype=np.float32)[[0, 0, 1]])
        >>> total = replay(log, ThresholdRule(0.9, check)).total
        >>> total.near, total.wrong
        (1, 0)
    """
    rows = len(log.prompts)
    result = Replay()
    near = Neighbours(log.vectors)
    stored: dict[str, int] = {}
    held = list(range(rows))
    for row, prompt in enumerate(log.prompts):
        tally = result.quarters[row * QUARTERS // rows]
        tally.requests += 1
        earlier = stored.get(prompt)
        if earlier is not None:
            rule.exact()
            tally.exact += 1
            tally.exact_wrong += not log.answers.same(row, held[earlier])
            step()
            continue
        readable = log.readable is None or log.readable[row]
        served: int | None = None
        answer, explored = row, False
        if readable:
            found = near.nearest(row, rule.k, rule.reach)
            served, answer, explored = rule.decide(log, row, found, held)
            if served is not None:
                tally.near += 1
                if not log.answers.same(row, held[served]):
                    tally.near_wrong += 1
                    result.wrong.append(WrongHit(dict(found)[served], row, served, held[served]))
        if served is None:
            tally.explored += explored
            stored[prompt] = row
            held[row] = answer
            if readable:
                near.add(row)
        step()
    return result
