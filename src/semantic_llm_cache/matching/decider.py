"""Decide whether a near entry's answer can be served: by threshold and guards, a verifier, or an error budget.
Learn when a fresh answer can be compared.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from semantic_llm_cache.redaction import describe
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE
from semantic_llm_cache.storage.records import Candidate
from semantic_llm_cache.values.encoding import dumps, freeze

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.keys.request import Request
    from semantic_llm_cache.matching.comparison import Comparison
    from semantic_llm_cache.matching.guards import GuardSet
    from semantic_llm_cache.matching.online import Decision, OnlinePolicy
    from semantic_llm_cache.matching.policy import ThresholdPolicy
    from semantic_llm_cache.matching.templates.check import TemplateCheck
    from semantic_llm_cache.similarity.base import EmbeddingProvider

__all__ = ["DEFAULT_GUARDS", "Choice", "Decider", "Rules", "answer_id"]

DEFAULT_GUARDS: Any = type("_Default", (), {"__repr__": lambda self: "'default'"})()
"""The default guards: vetoes with a threshold, features with an error budget."""

_CANDIDATES = 8
_ONLINE_CANDIDATES = 16
_VERIFY_TIMEOUT = 30.0
_KNOWN_PAIRS = 4096
_SHORT = 80  # characters: a shorter prompt has not the forty words of one that is made from a template
_LONG = 2000
_LONG_TOGETHER = 8000  # total characters of the prompts in all pairs: guards read this many in about 3 ms
_KNOWN_ANSWERS = 4096
_DEFAULT_FLOOR = 0.5
_OTHER_ANSWERS = 3  # answers besides the proposed one that a fresh one is compared with

Search = Callable[[int, float], Awaitable[Sequence[Candidate]]]
Embed = Callable[[Sequence[str]], Awaitable[Any]]


class _Notices(Protocol):
    def log_once(self, topic: str, text: str) -> None: ...


class Rules(Protocol):
    """The engine options that decide about near entries, each already checked."""

    guards: Any
    verify: Any
    verify_band: tuple[float, float] | None
    max_error: float | None
    max_error_per_hit: float | None
    same_answer: Any
    judge_error: Any
    noise: Any
    seed: int | None

    @property
    def verify_mode(self) -> str:
        """``"inline"`` or ``"background"``."""
        ...


class Choice:
    """The decision about the candidates of one request.

    `candidate` is the entry to serve, or None. `rival`, on a miss, is the entry that a fresh answer is
    compared with, and `others` hold the answers that it may say instead; `ask_later` is the entry to ask a verifier
    about after the call.
    """

    __slots__ = ("ask_later", "candidate", "decision", "nearest", "others", "reason", "rival")

    def __init__(self, nearest: Candidate | None) -> None:
        self.nearest = nearest
        self.candidate: Candidate | None = None
        self.reason = ""
        self.rival: Candidate | None = None
        self.ask_later: Candidate | None = None
        self.decision: Decision | None = None
        self.others: tuple[Candidate, ...] = ()


class Decider:
    """Decides about near entries for one engine, and learns.

    Args:
        options: see `SemanticCache`.
        similarity: the engine's threshold.
        embedder: returns the embedder, which says what it does not see in two texts; None compares only vectors.

    Raises:
        ValueError: options that exclude each other, or one that needs another.
    """

    def __init__(
        self, options: Rules, similarity: float, embedder: Callable[[], EmbeddingProvider] | None = None
    ) -> None:
        self.options = options
        self._embedder = embedder
        if options.verify_band is not None and options.verify is None:
            raise ValueError("verify_band= says when to ask verify=, which is not given")
        self.band = options.verify_band
        self.bounded = options.max_error is not None or options.max_error_per_hit is not None
        if self.bounded and options.verify is not None:
            raise ValueError("verify= and max_error= exclude each other: pass the judge as same_answer=")
        if options.noise is not None and not self.bounded:
            raise ValueError("noise= is for an error budget: give max_error= or max_error_per_hit= too")
        self.similarity = (similarity if similarity < 1 else _DEFAULT_FLOOR) if self.bounded else similarity
        given = options.guards
        self.guards_given = given is not DEFAULT_GUARDS
        # Load now what will be needed: the word lists take about 40 ms, and no call should wait for that.
        self._guards: GuardSet | None = None
        self._templates: TemplateCheck | None = None
        if self.guards_given or self.similarity < 1:
            self.guards  # noqa: B018
        self._comparison: Comparison | None = None
        self._policies: dict[float, ThresholdPolicy] = {}
        self._known: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._answers: dict[tuple[str, float], str] = {}

    @property
    def guards(self) -> GuardSet:
        """Return the guards; load them if necessary."""
        if self._guards is None:
            from semantic_llm_cache.matching.guards import resolve_guards

            self._guards = resolve_guards(self.options.guards if self.guards_given else "default")
            if len(self._guards):
                from semantic_llm_cache.matching.templates.check import TemplateCheck

                self._templates = TemplateCheck(self._guards)
        return self._guards

    @property
    def comparison(self) -> Comparison:
        """Return what compares answers; load it if necessary."""
        if self._comparison is None:
            from semantic_llm_cache.matching.comparison import Comparison

            self._comparison = Comparison(self.options.same_answer, self.options.judge_error)
        return self._comparison

    @property
    def plain(self) -> bool:
        """Return True when threshold and guards decide alone, without waiting for a verifier."""
        return not self.bounded and self.options.verify is None

    def refuse_other_threshold(self) -> None:
        """Raise ValueError if the threshold cannot change while the cache is in use: something else decides."""
        if self.bounded:
            raise ValueError(
                "similarity= cannot change while the cache is in use: its error budget (max_error) decides"
            )
        if self.band is not None:
            raise ValueError("similarity= cannot change while the cache is in use: verify_band decides")

    def name(self, similarity: float, max_error: float | None = None) -> str:
        """Return the name of the deciding rule, for `Lookup.policy`; a category may have its own `max_error`."""
        if self.bounded:
            bounds = [
                f"{name} {value:g}"
                for name, value in (
                    ("max_error", max_error or self.options.max_error),
                    ("max_error_per_hit", self.options.max_error_per_hit),
                )
                if value is not None
            ]
            return ", ".join(bounds)
        return f"threshold {similarity:g}"

    def policy(self, similarity: float) -> ThresholdPolicy:
        """Return the policy of one threshold."""
        policy = self._policies.get(similarity)
        if policy is None:
            from semantic_llm_cache.matching.policy import ThresholdPolicy

            guards = self.guards
            policy = ThresholdPolicy(similarity, guards if len(guards) else None)
            self._policies[similarity] = policy
        return policy

    def same_in_flight(self, request: Request, other: str, similarity: float, threshold: float) -> bool:
        """Return whether a call may join one in flight by meaning: only where no verifier has to be called."""
        if self.bounded or (self.options.verify is not None and (self.band is None or similarity < self.band[1])):
            return False
        policy = self.policy(threshold)
        if similarity < threshold - THRESHOLD_TOLERANCE or self.unseen(request.text, other) is not None:
            return False
        if request.slots < 2 and not policy.same(request.text, other, similarity):
            return False
        if self._templates is None:
            return True
        if request.slots > 1 and self._templates.veto(request.text, other) is not None:
            return False
        found = self._templates.compared(request, other)
        # Nobody waits here for an embedding: what needs one counts as different.
        return found is None or (found.objection is None and not found.texts)

    def unseen(self, prompt: str, other: str) -> str | None:
        """Return how two texts differ in what their vectors do not show, or None.

        Every pair is checked for this first, whatever the threshold, the guards, the verifier and the budget.
        """
        if self._embedder is None:
            return None
        from semantic_llm_cache.similarity.differences import unseen_difference

        return unseen_difference(self._embedder(), prompt, other)

    async def _learn_template(self, request: Request, nearest: Sequence[Candidate]) -> None:
        if not nearest or len(request.text) < _SHORT or self._templates is None:
            return
        entry = nearest[0].entry
        if len(request.text) + len(entry.prompt) > _LONG:
            await asyncio.to_thread(self._templates.learn, request, entry.prompt, entry.scope)
        else:
            self._templates.learn(request, entry.prompt, entry.scope)

    # ------------------------------------------------------------------ pairs judged before

    def remember(self, key: str, entry_key: str, same: bool) -> None:
        """Store the verdict on a pair: this process does not ask the verifier about it again."""
        self._known[(key, entry_key)] = same
        if len(self._known) > _KNOWN_PAIRS:
            self._known.popitem(last=False)

    # ------------------------------------------------------------------ threshold, guards, verifier

    async def choose(
        self, request: Request, similarity: float, search: Search, embed: Embed, notices: _Notices
    ) -> Choice:
        """Look at the nearest entries of the scope and choose one to serve, or none.

        Args:
            request: the question.
            similarity: the threshold of this call.
            search: returns the k nearest at or above a similarity.
            embed: returns unit vectors of texts, shape (n, dimension).
            notices: logs once that a verifier fails.
        """
        floor = similarity if self.band is None else self.band[0]
        policy = self.policy(floor)
        # Almost always the nearest alone decides; it also says how close a miss was.
        candidates = await search(1, 0.0)
        choice = Choice(nearest=candidates[0] if candidates else None)
        await self._learn_template(request, candidates)
        passing, choice.reason = await self._passing(policy, request, candidates, embed)
        close = bool(candidates) and candidates[0].similarity >= floor - THRESHOLD_TOLERANCE
        if close and not passing:
            more = await search(_CANDIDATES, floor)
            passing, reason = await self._passing(policy, request, more, embed)
            choice.reason = choice.reason or reason
        for candidate in passing:
            choice.reason = f"similarity {candidate.similarity:.3f} >= {floor:g}"  # not the veto of a nearer entry
            if await self._verified(request.key, request.text, candidate, choice, notices):
                choice.candidate = candidate
                break
        return choice

    async def _passing(
        self, policy: ThresholdPolicy, request: Request, candidates: Sequence[Candidate], embed: Embed
    ) -> tuple[list[Candidate], str]:
        """Return the candidates without objection, and the reason against the nearest."""
        passing: list[Candidate] = []
        reason = "" if candidates else "no entries in scope"
        for candidate in candidates:
            known = self._known.get((request.key, candidate.key))
            if known is False:
                reason = reason or "veto: judged different before"
                continue
            if len(request.text) + len(candidate.entry.prompt) > _LONG:
                # Guards take about 4 microseconds per word: a long prompt would block the loop.
                against = await asyncio.to_thread(self._against, policy, request, candidate)
            else:
                against = self._against(policy, request, candidate)
            if against is not None:
                reason = reason or against
                continue
            if not known:
                veto = await self._slot_veto(request, candidate.entry, embed)
                if veto is not None:
                    reason = reason or f"veto: {veto}"
                    continue
            passing.append(candidate)
        return passing, "" if passing else reason

    def _against(self, policy: ThresholdPolicy, request: Request, candidate: Candidate) -> str | None:
        """Return an immediate objection to a candidate: its distance, what no vector shows, a guard."""
        if candidate.similarity >= policy.similarity - THRESHOLD_TOLERANCE:
            unseen = self.unseen(request.text, candidate.entry.prompt)
            if unseen is not None:
                return f"veto: {unseen}"
            if request.slots > 1:  # the built-in guards compare each slot with its counterpart, see `_slot_veto`
                veto = self._templates and self._templates.veto(request.text, candidate.entry.prompt)
                return f"veto: {veto}" if veto else None
        verdict = policy.judge(request.text, [candidate])
        return verdict.reason if verdict.candidate is None else None

    async def _slot_veto(self, request: Request, entry: CacheEntry, embed: Embed) -> str | None:
        if self._templates is None or (request.slots < 2 and max(len(request.text), len(entry.prompt)) < _SHORT):
            return None
        if len(request.text) + len(entry.prompt) > _LONG:
            found = await asyncio.to_thread(self._templates.compared, request, entry.prompt, entry.scope)
        else:
            found = self._templates.compared(request, entry.prompt, entry.scope)
        if found is None or not found.texts:
            return None if found is None else found.objection
        return found.by_meaning(await embed(found.texts))

    async def _verified(self, key: str, prompt: str, candidate: Candidate, choice: Choice, notices: _Notices) -> bool:
        if self.options.verify is None or (self.band is not None and candidate.similarity >= self.band[1]):
            return True
        if self._known.get((key, candidate.key)):
            choice.reason = f"verified before, similarity {candidate.similarity:.3f}"
            return True
        if self.options.verify_mode == "background":
            choice.ask_later = choice.ask_later or candidate
            choice.reason = f"similarity {candidate.similarity:.3f} to be verified in the background"
            return False
        same = await self.ask(key, prompt, candidate, notices)
        verdict = "no verdict from verify" if same is None else "verified" if same else "refused by verify"
        choice.reason = f"{verdict}, similarity {candidate.similarity:.3f}"
        return bool(same)

    async def ask(self, key: str, prompt: str, candidate: Candidate, notices: _Notices) -> bool | None:
        """Ask the verifier about one candidate. None: it failed, which counts as no."""
        from semantic_llm_cache.matching.verify import as_verdict, call_either

        try:
            value = await asyncio.wait_for(
                call_either(self.options.verify, prompt, candidate.entry.prompt, candidate.entry.response),
                _VERIFY_TIMEOUT,
            )
            same = as_verdict(value)
        except Exception as error:
            notices.log_once("verify", f"verify failed ({describe(error)}): candidates count as different")
            return None
        self.remember(key, candidate.key, same)
        return same

    # ------------------------------------------------------------------ the error budget

    def new_policy(self, max_error: float | None = None, floor: float | None = None) -> OnlinePolicy:
        """Return a fresh online policy with this engine's bounds, or with another `max_error` and floor."""
        from semantic_llm_cache.matching.online import OnlinePolicy

        names = self.guards.names
        return OnlinePolicy(
            max_error=self.options.max_error if max_error is None else max_error,
            max_error_per_hit=self.options.max_error_per_hit,
            floor=self.similarity if floor is None else floor,
            seed=self.options.seed,
            judge_error=self.comparison.judge_error,
            noise=self.options.noise,
            extra_features=names,
        )

    async def choose_online(self, key: str, prompt: str, policy: OnlinePolicy, search: Search) -> Choice:
        """Let the online policy decide about the nearest entries."""
        # Entries below the floor are not served, but they vote.
        candidates = list(await search(_ONLINE_CANDIDATES, policy.reach))
        choice = Choice(nearest=candidates[0] if candidates else None)
        known: list[Candidate] = []
        for candidate in candidates:
            if self._known.get((key, candidate.key)) is False:
                choice.reason = choice.reason or "veto: judged different before"
            else:
                known.append(candidate)
        if sum(len(prompt) + len(candidate.entry.prompt) for candidate in known) > _LONG_TOGETHER:
            usable, views, reason = await asyncio.to_thread(self._views, prompt, known, at_once=True)
        else:
            usable, views, reason = self._views(prompt, known, at_once=False)
        choice.reason = choice.reason or reason
        decision = policy.decide(prompt, views)
        choice.decision = decision
        found = next((c for c in usable if c.key == decision.key), None)
        if decision.action == "serve" and found is not None:
            choice.candidate, choice.reason = found, decision.reason
        else:
            choice.rival = found
            choice.others = self._other_answers(policy, usable, decision.answer)
            choice.reason = choice.reason or decision.reason
        return choice

    def _other_answers(
        self, policy: OnlinePolicy, candidates: Sequence[Candidate], proposed: str
    ) -> tuple[Candidate, ...]:
        """Return the nearest candidate of each other answer: a fresh one may say the same."""
        found: dict[str, Candidate] = {}
        for candidate in candidates:
            name = policy.cluster(self.answer_id(candidate))
            if name != proposed and len(found) < _OTHER_ANSWERS:
                found.setdefault(name, candidate)
        return tuple(found.values())

    def _views(
        self, prompt: str, candidates: Sequence[Candidate], *, at_once: bool
    ) -> tuple[list[Candidate], list[Any], str]:
        """Return the candidates that no requested guard rejects, the policy's views of them, and a veto."""
        from semantic_llm_cache.matching.guards import GuardFeatures
        from semantic_llm_cache.matching.online import CandidateView

        usable, views, reason = [], [], ""
        for candidate in candidates:
            entry = candidate.entry
            veto: object = self.unseen(prompt, entry.prompt)
            if veto is None and self.guards_given:
                veto = self.guards.check(prompt, entry.prompt)
            if veto is not None:
                reason = reason or f"veto: {veto}"
                continue
            usable.append(candidate)
            features: Sequence[float] = GuardFeatures(self.guards, prompt, entry.prompt)
            views.append(
                CandidateView(
                    key=candidate.key,
                    similarity=candidate.similarity,
                    answer=self.answer_id(candidate),
                    prompt=entry.prompt,
                    features=tuple(features) if at_once else features,
                )
            )
        return usable, views, reason

    def answer_id(self, candidate: Candidate) -> str:
        """Return the fingerprint of a candidate's answer."""
        name = (candidate.key, candidate.entry.created_at)
        known = self._answers.get(name)
        if known is None:
            if len(self._answers) >= _KNOWN_ANSWERS:
                self._answers.clear()
            known = self._answers[name] = answer_id(candidate.entry.response, candidate.entry.scope)
        return known


def answer_id(response: Any, scope: str) -> str:
    """Return the fingerprint by which the error budget knows an answer: equal for equal stored forms in one scope.

    What is learned of an answer in one scope says nothing about equal words in another: what "B" stands for depends on
    the question, and one tenant's verdicts must not change what another is served.
    """
    import hashlib

    form = f"{scope}\n{dumps(freeze(response))}"
    return hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
