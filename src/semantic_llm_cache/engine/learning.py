"""What an engine learns about near entries: from fresh answers, a verifier asked later, and feedback."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.outcome import Found, Fresh, Outage
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Choice, Decider, fingerprint
from semantic_llm_cache.runtime import background
from semantic_llm_cache.storage.contract import Candidate
from semantic_llm_cache.values.encoding import freeze
from semantic_llm_cache.values.offload import is_large, opened

if TYPE_CHECKING:
    from semantic_llm_cache.matching.online import OnlinePolicy
from semantic_llm_cache.redaction import describe

__all__ = ["Learning"]

_SAME = 0.5
_PATIENCE = 5.0  # seconds that closing waits for comparisons under way
_SURELY_SAME = 0.9  # from here on two answers vote together although the policy did not propose it


class Learning:
    """The error budget of one engine, its aliases, and the feedback it was given.

    Args:
        namespace: the namespace of the budget.
        access: to storage and embedder.
        decider: decides about near entries.
        notices: logs problems.
    """

    def __init__(self, namespace: str, access: Access, decider: Decider, notices: Notices) -> None:
        self._namespace = namespace
        self._access = access
        self._decider = decider
        self._notices = notices
        self._open = 0  # comparisons under way

    # ------------------------------------------------------------------------ the error budget

    def policy_name(self) -> str:
        """The name of the online policy's state in the backend."""
        options = self._decider.options
        bounds = f"{options.max_error}:{options.max_error_per_hit}"
        return f"online:{self._namespace}:{bounds}:{self._access.need_embedder().fingerprint}"

    async def policy(self) -> OnlinePolicy:
        """Return the online policy of this namespace, with what it has learned so far. Raises Outage."""
        storage, name = self._access.storage(), self.policy_name()
        policy: OnlinePolicy | None = storage.state.policies.get(name)
        if policy is None:
            raw = await storage.run(lambda: storage.backend.get_state(name))
            policy = self._decider.new_policy()
            if raw is not None:
                try:
                    policy.load(raw)
                except CacheSerializationError as error:
                    self._notices.log_once(
                        "policy", f"what the error budget had learned cannot be read: {describe(error)}"
                    )
            policy = storage.state.policies.setdefault(name, policy)
        return policy

    def count_exact(self) -> bool:
        """Count an exact hit in the error budget; return False if its state must be read first."""
        if not self._decider.bounded:
            return True
        policy = self._access.storage().state.policies.get(self.policy_name())
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

    async def observe(self, choice: Choice, correct: float) -> None:
        """Tell the online policy whether its decision was right, or how probably."""
        if choice.decision is None:
            return
        try:
            policy = await self.policy()
        except Outage:
            return
        policy.observe(choice.decision, correct)
        self._access.storage().state.policy_changed(self.policy_name())

    def learn_later(self, call: Call, fresh: Fresh, stored: bool) -> None:
        """Do what `learn` does, without waiting for it."""
        self._open += 1
        # The request counts already, whatever the comparison says and even if the process ends before.
        self._access.storage().state.policy_changed(self.policy_name())
        background.later(self._learn_and_count(call, fresh, stored))

    async def _learn_and_count(self, call: Call, fresh: Fresh, stored: bool) -> None:
        try:
            await self.learn(call, fresh, stored)
        finally:
            self._open -= 1

    async def settled(self) -> None:
        """Wait until what was begun by `learn_later` has ended, a few seconds at most."""
        until = perf_counter() + _PATIENCE
        while self._open > 0 and perf_counter() < until:  # noqa: ASYNC110 - they may run on several loops
            await asyncio.sleep(0.002)

    async def learn(self, call: Call, fresh: Fresh, stored: bool) -> None:
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
        await self.observe(choice, correct)
        if not stored:
            return
        try:
            if correct < _SAME:
                await self._join_another(call, fresh)
            elif self._decider.comparison.is_right:
                await self._store_alias(call.request, found, choice.rival)
            else:
                self._join(await self.policy(), fresh, choice.rival)
        except Outage:
            pass

    async def _join_another(self, call: Call, fresh: Fresh) -> None:
        """Look for another near answer that the fresh one says too."""
        choice = call.found.choice
        assert choice is not None
        for candidate in choice.others:
            same = await self.compare(call.request, fresh.value, candidate.entry.response, call.settings.target)
            if same is not None and same >= _SURELY_SAME:
                self._join(await self.policy(), fresh, candidate)
                return

    def _join(self, policy: OnlinePolicy, fresh: Fresh, candidate: Candidate) -> None:
        policy.join(fingerprint(fresh.shared), self._decider.answer_id(candidate))
        self._access.storage().state.policy_changed(self.policy_name())

    # ------------------------------------------------------------------------ aliases

    async def verify_later(self, request: Request, found: Found, candidate: Candidate) -> None:
        """Ask the verifier after the call. If it agrees, both prompts become aliases of one answer."""
        if await self._decider.ask(request.key, request.text, candidate, self._notices):
            try:
                await self._store_alias(request, found, candidate)
            except Outage:
                pass

    async def _store_alias(self, request: Request, found: Found, candidate: Candidate) -> None:
        entry = replace(
            candidate.entry,
            prompt=request.text,
            response=freeze(candidate.entry.response),
            embedding=found.vector,
            embedder=found.embedder,
            aliases=(candidate.entry.prompt,),
            hit_count=0,
            last_accessed=None,
        )
        await self._access.storage().put(request.key, entry)

    # ------------------------------------------------------------------------ feedback

    async def feedback(self, lookup: Lookup, right: bool) -> bool:
        """Act on a report about a hit; return True if an entry was evicted or an alias stored."""
        storage = self._access.storage()
        _, request, choice = lookup.handle
        if choice is not None and choice.decision is not None:
            (await self.policy()).report(choice.decision, right)
            storage.state.policy_changed(self.policy_name())
        key = lookup.entry_key
        assert key is not None
        if key != request.key:
            self._decider.remember(request.key, key, right)
        if not right:
            return await storage.delete(key)
        if choice is None or choice.candidate is None:
            return False
        found = Found("near", "")
        await self._access.embed(request.text, found)
        await self._store_alias(request, found, choice.candidate)
        return True
