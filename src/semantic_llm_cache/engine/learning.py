"""What an engine learns about near entries: from fresh answers, a verifier asked later, and feedback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.outcome import Found, Outage
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Choice, Decider
from semantic_llm_cache.storage.contract import Candidate
from semantic_llm_cache.values.encoding import freeze
from semantic_llm_cache.values.offload import opened

if TYPE_CHECKING:
    from semantic_llm_cache.matching.online import OnlinePolicy
from semantic_llm_cache.redaction import describe

__all__ = ["Learning"]


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

    async def compare(self, value: Any, stored: Any, target: Any) -> bool | None:
        """Return whether a fresh answer and a stored one say the same; None if unknown."""
        try:
            other = await opened(stored, target)
        except CacheSerializationError:
            return None
        return await self._decider.same_answer(value, other, self._access.vectors, self._notices)

    async def observe(self, choice: Choice, correct: bool) -> None:
        """Tell the online policy whether its decision was right."""
        if choice.decision is None:
            return
        try:
            policy = await self.policy()
        except Outage:
            return
        policy.observe(choice.decision, correct)
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
