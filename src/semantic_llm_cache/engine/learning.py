"""What an engine learns about near entries: from fresh answers, a verifier asked later, and feedback."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine import late
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.categories import Categories
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.outcome import Found, Fresh, Outage
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Choice, Decider, answer_id
from semantic_llm_cache.runtime import background
from semantic_llm_cache.storage.records import Candidate
from semantic_llm_cache.values.encoding import freeze
from semantic_llm_cache.values.offload import is_large, opened

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.matching.online import Decision, OnlinePolicy
from semantic_llm_cache.redaction import describe

__all__ = ["Learning", "Verdict", "snapshot"]


class Verdict:
    """A person's verdict on an answer.

    Attributes:
        right: whether it was right.
        key: of the entry that holds the answer.
        near: whether it was given as a near hit.
        namespace: where the verdict is counted.
        entry: the entry, if it is still there.
        lookup: the record of the call, if this process has it.
    """

    __slots__ = ("entry", "key", "lookup", "namespace", "near", "right")

    def __init__(
        self, right: bool, key: str, near: bool, namespace: str, entry: CacheEntry | None, lookup: Lookup | None
    ) -> None:
        self.right = right
        self.key = key
        self.near = near
        self.namespace = namespace
        self.entry = entry
        self.lookup = lookup


_SAME = 0.5
_PATIENCE = 5.0  # seconds that closing waits for comparisons under way
_SURELY_SAME = 0.9  # from here on two answers vote together although the policy did not propose it


_UNCHANGEABLE = (str, bytes, int, float, bool, type(None))


def snapshot(value: Any) -> Any:
    """Return a copy of an answer for a later comparison: the caller may change its own."""
    if isinstance(value, _UNCHANGEABLE):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # it cannot be copied, so it is compared as it is then
        return value


class Learning:
    """The error budget of one engine, its aliases, and the feedback it was given.

    Args:
        namespace: the namespace of the budget.
        access: to storage and embedder.
        decider: decides about near entries.
        categories: which of them have an error budget of their own.
        notices: logs problems.
    """

    def __init__(
        self, namespace: str, access: Access, decider: Decider, categories: Categories, notices: Notices
    ) -> None:
        self.categories = categories
        self._namespace = namespace
        self._access = access
        self._decider = decider
        self._notices = notices
        self._open: dict[object, asyncio.AbstractEventLoop | None] = {}  # comparisons under way, with their loops

    # ------------------------------------------------------------------------ the error budget

    def policy_name(self, category: str | None = None) -> str:
        """The name of the online policy's state in the backend; `category` has an error budget of its own."""
        options = self._decider.options
        of, most = ("", options.max_error)
        if category is not None:
            of, most = f"category:{category}:", self.categories.budgets[category].max_error
        bounds = f"{most}:{options.max_error_per_hit}"
        return f"online:{self._namespace}:{bounds}:{of}{self._access.need_embedder().fingerprint}"

    def new_policy(self, category: str | None = None) -> OnlinePolicy:
        """Return a fresh online policy, of a category if it has an error budget of its own."""
        if category is None:
            return self._decider.new_policy()
        rule = self.categories.budgets[category]
        return self._decider.new_policy(rule.max_error, rule.changes.get("similarity"))

    async def policy(self, category: str | None = None) -> OnlinePolicy:
        """Return the online policy of this namespace, with what it has learned so far. Raises Outage."""
        storage, name = self._access.storage(), self.policy_name(category)
        policy: OnlinePolicy | None = storage.state.policies.get(name)
        if policy is None:
            raw = await storage.run(lambda: storage.backend.get_state(name))
            policy = self.new_policy(category)
            if raw is not None:
                try:
                    policy.load(raw)
                except CacheSerializationError as error:
                    self._notices.log_once(
                        "policy", f"what the error budget had learned cannot be read: {describe(error)}"
                    )
            policy = storage.state.policies.setdefault(name, policy)
        from semantic_llm_cache.metrics import budgets

        budgets.note(policy, self._namespace, category)
        return policy

    def spent(self) -> float | None:
        """Return which share of the error budget is spent, the largest of all categories; None before its first use."""
        if not self._decider.bounded:
            return None
        policies = self._access.storage().state.policies
        names = [self.policy_name(category) for category in (None, *self.categories.budgets)]
        return max((policies[name].spent_share for name in names if name in policies), default=None)

    def count_exact(self, text: str, settings: CallSettings) -> bool:
        """Count an exact hit in the error budget; return False if its state must be read first."""
        if not self._decider.bounded:
            return True
        name = self.policy_name(self.categories.budget_of(text, settings.category))
        policy = self._access.storage().state.policies.get(name)
        if policy is None:
            return False
        policy.count_exact()
        return True

    # ------------------------------------------------------------------------ fresh answers

    def same_at_once(self, value: Any, stored: Any) -> float | None:
        """Return the probability that two answers say the same, if that is plain; None where a judge must be asked."""
        return None if is_large(stored) else self._decider.comparison.at_once(value, stored)

    async def compare(self, request: Request, value: Any, stored: Any, target: Any) -> float | None:
        """Return the probability that a fresh answer and a stored one say the same; None if unknown."""
        try:
            other = await opened(stored, target)
        except CacheSerializationError:
            return None
        comparison = self._decider.comparison
        return await comparison.probability(request.text, value, other, self._access.vectors, self._notices)

    async def observe(self, call: Call, choice: Choice, correct: float) -> None:
        """Tell the online policy whether its decision about a call was right, or how probably."""
        if choice.decision is None:
            return
        category = self._budget(call)
        try:
            policy = await self.policy(category)
        except Outage:
            return
        policy.observe(choice.decision, correct)
        self._access.storage().state.policy_changed(self.policy_name(category))

    async def observe_noise(self, call: Call, decision: Decision, one: Any, other: Any) -> None:
        """Tell the online policy how far two fresh answers to one call differ."""
        comparison = self._decider.comparison
        same = await comparison.probability(call.request.text, other, one, self._access.vectors, self._notices)
        if same is None:
            return
        category = self._budget(call)
        try:
            policy = await self.policy(category)
        except Outage:
            return
        policy.observe_noise(decision, same)
        self._access.storage().state.policy_changed(self.policy_name(category))

    def learn_later(self, call: Call, fresh: Fresh, stored: bool) -> None:
        """Do what `learn_answer` does, without waiting for it."""
        # The request counts already, whatever the comparison says and even if the process ends before.
        self._access.storage().state.policy_changed(self.policy_name(self._budget(call)))
        self.later(self.learn_answer(call, fresh, stored))

    def later(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background, so that `settled` waits for it."""
        token = object()
        self._open[token] = asyncio._get_running_loop()
        background.later(self._counted(token, coroutine))

    async def _counted(self, token: object, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        finally:
            self._open.pop(token, None)

    async def settled(self) -> None:
        """Wait until what was begun by `later` has ended, a few seconds at most."""
        until = perf_counter() + _PATIENCE
        while perf_counter() < until and self._is_open():  # noqa: ASYNC110 - they may run on several loops
            await asyncio.sleep(0.002)

    def _is_open(self) -> bool:
        """Return whether a comparison is under way on a loop that can still end it."""
        return any(loop is None or not loop.is_closed() for loop in list(self._open.values()))

    async def learn_answer(self, call: Call, fresh: Fresh, stored: bool) -> None:
        """Compare a fresh answer with the candidate's after the caller has it, and learn.

        An answer that says the same votes with the candidate's from now on. It keeps its own words: only a judge that
        is taken to be right makes it an alias, with the candidate's words.
        """
        found, choice = call.found, call.found.choice
        assert choice is not None
        assert choice.rival is not None
        correct = await self.compare(call.request, fresh.value, choice.rival.entry.response, call.settings.target)
        if correct is None:
            return
        await self.observe(call, choice, correct)
        if not stored:
            return
        try:
            if correct < _SAME:
                await self._join_another(call, fresh)
            elif self._decider.comparison.is_right:
                await self._store_alias(call.request, found, choice.rival)
            else:
                await self._join(call, fresh, choice.rival)
        except Outage:
            pass

    async def _join_another(self, call: Call, fresh: Fresh) -> None:
        """Look for another near answer that the fresh one says too."""
        choice = call.found.choice
        assert choice is not None
        for candidate in choice.others:
            same = await self.compare(call.request, fresh.value, candidate.entry.response, call.settings.target)
            if same is not None and same >= _SURELY_SAME:
                await self._join(call, fresh, candidate)
                return

    async def _join(self, call: Call, fresh: Fresh, candidate: Candidate) -> None:
        category = self._budget(call)
        (await self.policy(category)).join(
            answer_id(fresh.shared, call.request.scope_hash), self._decider.answer_id(candidate)
        )
        self._access.storage().state.policy_changed(self.policy_name(category))

    def _budget(self, call: Call) -> str | None:
        """Return the category of a call if it has an error budget of its own."""
        return self.categories.budget_of(call.request.text, call.settings.category)

    # ------------------------------------------------------------------------ aliases

    async def verify_later(self, request: Request, found: Found, candidate: Candidate) -> None:
        """Ask the verifier after the call. If it agrees, both prompts become aliases of one answer."""
        if await self._decider.ask(request.key, request.text, candidate, self._notices):
            try:
                await self._store_alias(request, found, candidate)
            except Outage:
                pass

    async def _store_alias(self, request: Request, found: Found, candidate: Candidate) -> None:
        await self._put_alias(request.key, request.text, found, candidate)

    async def _put_alias(self, key: str, text: str, found: Found, of: Candidate) -> bool:
        """Store the answer of an entry under another prompt too, unless the entry has been removed meanwhile."""
        entry, storage, began = of.entry, self._access.storage(), perf_counter()
        ttl = self.categories.longest(text, entry.ttl)
        if ttl == 0 or not await storage.holds(of.key, entry.created_at):
            return False
        alias = replace(
            entry,
            prompt=text,
            ttl=ttl,
            response=freeze(entry.response),
            embedding=found.vector,
            embedder=found.embedder,
            aliases=(entry.prompt,),
            hit_count=0,
            last_accessed=None,
        )

        async def write() -> bool:
            await storage.put(key, alias)
            return True

        return not await late.put(storage, key, alias, write, lambda: late.alias_withdrawn(storage, entry, began))

    # ------------------------------------------------------------------------ feedback

    def remember(self, verdict: Verdict) -> None:
        """Remember whether two prompts ask the same, according to a person."""
        lookup = verdict.lookup
        if lookup is not None and lookup.key != verdict.key:
            self._decider.remember(lookup.key, verdict.key, verdict.right)

    async def learn(self, verdict: Verdict) -> None:
        """Tell the error budget about a person's verdict on an answer."""
        lookup, right = verdict.lookup, verdict.right
        if not verdict.near or not self._decider.bounded:
            return
        decision = None if lookup is None or not lookup.handle else lookup.handle[1]
        if decision is None and verdict.entry is None:
            return
        category = None
        if lookup is not None:
            category = self.categories.budget_of(lookup.prompt, lookup.category)
        elif verdict.entry is not None:
            category = self.categories.budget_of(verdict.entry.prompt)
        policy = await self.policy(category)
        if decision is not None:
            policy.report(decision, right)
        else:  # of another process, or too long ago: only the answer is known
            assert verdict.entry is not None
            policy.report_answer(answer_id(verdict.entry.response, verdict.entry.scope), right)
        self._access.storage().state.policy_changed(self.policy_name(category))

    async def store_alias(self, lookup: Lookup, of: Candidate) -> bool:
        """Store the answer of a near hit under the prompt of the hit too; return True if it was stored."""
        found = Found("near", "")
        await self._access.embed(lookup.prompt, found)
        return await self._put_alias(lookup.key, lookup.prompt, found, of)
