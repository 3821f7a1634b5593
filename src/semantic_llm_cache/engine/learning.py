"""What an engine learns about near entries: from fresh answers, a verifier asked later, and feedback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.outcome import Found, Outage
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Choice, Decider, answer_id
from semantic_llm_cache.storage.contract import Candidate
from semantic_llm_cache.values.encoding import freeze
from semantic_llm_cache.values.offload import opened

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.matching.online import OnlinePolicy
from semantic_llm_cache.redaction import describe

__all__ = ["Learning", "Verdict"]


class Verdict(NamedTuple):
    """A person's verdict on an answer.

    Attributes:
        right: whether it was right.
        key: of the entry that holds the answer.
        near: whether it was given as a near hit.
        namespace: where the verdict is counted.
        entry: the entry, if it is still there.
        lookup: the record of the call, if this process has it.
    """

    right: bool
    key: str
    near: bool
    namespace: str
    entry: CacheEntry | None
    lookup: Lookup | None


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
        await self._put_alias(request.key, request.text, found, candidate.entry)

    async def _put_alias(self, key: str, text: str, found: Found, entry: CacheEntry) -> None:
        alias = replace(
            entry,
            prompt=text,
            response=freeze(entry.response),
            embedding=found.vector,
            embedder=found.embedder,
            aliases=(entry.prompt,),
            hit_count=0,
            last_accessed=None,
        )
        await self._access.storage().put(key, alias)

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
        policy = await self.policy()
        if decision is not None:
            policy.report(decision, right)
        else:  # of another process, or too long ago: only the answer is known
            assert verdict.entry is not None
            policy.report_answer(answer_id(verdict.entry.response), right)
        self._access.storage().state.policy_changed(self.policy_name())

    async def store_alias(self, lookup: Lookup, entry: CacheEntry) -> bool:
        """Store the answer of a near hit under the prompt of the hit too; return True if it was stored."""
        found = Found("near", "")
        await self._access.embed(lookup.prompt, found)
        await self._put_alias(lookup.key, lookup.prompt, found, entry)
        return True
