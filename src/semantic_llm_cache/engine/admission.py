"""What happens to a fresh answer: whether it may be stored, in what form, and what is learned from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.search import ALONE, Found, Outage, Outcome, Tiers
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Choice
from semantic_llm_cache.metrics.counters import Counters
from semantic_llm_cache.metrics.pricing import usage_of
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.storage.contract import Candidate
from semantic_llm_cache.values.encoding import Encoded, dumps, freeze, is_immutable, loads, same
from semantic_llm_cache.values.offload import is_large, off_loop, opened
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["Admission"]


class Admission(Tiers):
    """The storing side of an engine."""

    def counters(self, namespace: str | None = None) -> Counters:
        """Return this engine's counters of a namespace."""
        raise NotImplementedError

    def share(self, value: Any, target: Any) -> Any:
        """Return the value in a form that many may read, or `ALONE` when it has none."""
        if is_immutable(value):
            return value
        try:
            text = dumps(value)
            back = rebuild(loads(text), target)
            if not same(back, value):
                raise CacheSerializationError(f"the answer (a {type(value).__qualname__}) would not come back as it is")
        except CacheSerializationError as error:
            self._warn(f"an answer is returned uncached: {describe(error)}")
            return ALONE
        except Exception as error:  # comparing may run the value's own code
            self._warn(f"an answer is returned uncached: {describe(error)}")
            return ALONE
        return Encoded(text)

    async def shared(self, value: Any, target: Any) -> Any:
        """`share`, in a thread where the value is large."""
        return await off_loop(self.share, value, target) if is_large(value) else self.share(value, target)

    def wants(self, value: Any) -> bool:
        """Tell whether `cache_if` wants an answer stored."""
        if self.cache_if is None:
            return True
        try:
            return bool(self.cache_if(value))
        except Exception as error:
            self.log_once("cache_if", f"cache_if raised {describe(error)}: answers are not stored")
            return False

    def weigh(self, value: Any, settings: CallSettings) -> tuple[Any, bool]:
        """Return an answer in the form of `share`, and whether `cache_if` wants it stored."""
        wanted = self.wants(value)
        return self.share(value, settings.target), wanted

    async def admit(
        self,
        request: Request,
        settings: CallSettings,
        value: Any,
        found: Found,
        duration_ms: float,
        weighed: tuple[Any, bool] | None = None,
    ) -> Outcome:
        """Learn from a fresh answer, store it if it may be, and return the flight's outcome."""
        if weighed is None:
            wanted = self.wants(value)
            shared = await self.shared(value, settings.target)
        else:
            shared, wanted = weighed
        wanted = wanted and not (settings.control is not None and settings.control.no_store)
        stored, cost = False, 0.0
        choice = found.choice
        kept, aliases = shared, tuple[str, ...]()
        if choice is not None and choice.rival is not None:
            kept, aliases = await self.learn(settings, value, shared, found, choice.rival)
        if wanted:
            stored, cost = await self.put(request, settings, value, kept, found, duration_ms, aliases)
            if stored and choice is not None and choice.ask_later is not None:
                self.trust.later(self._verify_later(request, found, choice.ask_later))
        return Outcome(found, value, shared, duration_ms, cost, stored)

    async def learn(
        self, settings: CallSettings, value: Any, shared: Any, found: Found, rival: Candidate
    ) -> tuple[Any, tuple[str, ...]]:
        """Tell the online policy whether the candidate's answer would have been right.

        Returns what to store, and the prompts it is now known to answer too: two prompts with one answer keep
        one, so that whoever asks either gets the same words.
        """
        correct = await self.compare(value, rival.entry.response, settings)
        if correct is None or found.choice is None:
            return shared, ()
        await self.observe(found.choice, correct)
        return (freeze(rival.entry.response), (rival.entry.prompt,)) if correct else (shared, ())

    async def observe(self, choice: Choice, correct: bool) -> None:
        """Hand the online policy an outcome of its decision."""
        if choice.decision is None:
            return
        try:
            policy = await self.online_policy()
        except Outage:
            return
        policy.observe(choice.decision, correct)
        self.bound()[1].policy_changed(self.policy_name())

    async def compare(self, value: Any, stored: Any, settings: CallSettings) -> bool | None:
        """Tell whether a fresh answer and a stored one say the same; None when that cannot be told."""
        try:
            other = await opened(stored, settings.target)
        except CacheSerializationError:
            return None
        return await self.trust.same_answer(value, other, self._vectors, self)

    async def _verify_later(self, request: Request, found: Found, candidate: Candidate) -> None:
        """Ask the verifier when nobody waits; a yes makes both prompts aliases of one answer."""
        if await self.trust.ask(request.key, request.text, candidate, self):
            try:
                await self._store_alias(request, found, candidate)
            except Outage:
                pass

    async def _store_alias(self, request: Request, found: Found, candidate: Candidate) -> None:
        backend, state = self.bound()
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
        await self._operation(state, lambda: backend.set(request.key, entry), backend, "write")

    async def feedback(self, lookup: Lookup, right: bool) -> bool:
        """Act on what somebody says of a hit; True when an entry was evicted or an alias stored."""
        backend, state = self.bound()
        _, request, choice = lookup.handle
        counters = self.counters(lookup.namespace)
        if right:
            counters.reported_right += 1
        else:
            counters.reported_wrong += 1
        if choice is not None and choice.decision is not None:
            (await self.online_policy()).report(choice.decision, right)
            state.policy_changed(self.policy_name())
        key = lookup.entry_key
        assert key is not None
        if key != request.key:
            self.trust.remember(request.key, key, right)
        if not right:
            return await self._operation(state, lambda: backend.delete(key), backend, "write")
        if choice is None or choice.candidate is None:
            return False
        found = Found("near", "")
        await self.embed(request, found)
        await self._store_alias(request, found, choice.candidate)
        return True

    def _kept_for(self, ttl: float | None) -> float | None:
        if ttl is None:
            return None
        if self.jitter:
            from random import Random  # a third of a millisecond that few need

            # One of our own: the program's sequence of random numbers is left alone.
            ttl *= 1 - self.jitter * Random().random()
        return ttl + self._stale_window

    async def put(
        self,
        request: Request,
        settings: CallSettings,
        value: Any,
        shared: Any,
        found: Found,
        duration_ms: float,
        aliases: tuple[str, ...] = (),
    ) -> tuple[bool, float]:
        """Store an answer; return whether it was, and what the call had cost in USD."""
        try:
            text = shared.text if type(shared) is Encoded and is_large(shared) else None
            tokens = usage_of(value, request.text, text)
        except Exception:  # reading an answer may run its own code
            tokens = (0, 0)
        cost = self.price(*tokens, value)
        if shared is ALONE or found.unread:
            return False, cost
        if len(request.text) > self.max_prompt:
            self.log_once("max_prompt", f"prompts of more than {self.max_prompt} characters are not stored")
            return False, cost
        size = len(shared.text) if type(shared) is Encoded else len(shared) if isinstance(shared, (str, bytes)) else 0
        if size > self.max_response:
            self.log_once("max_response", f"answers of more than {self.max_response} characters are not stored")
            return False, cost
        entry = CacheEntry(
            prompt=request.text,
            response=shared,
            embedding=found.vector,
            created_at=self.clock(),
            ttl=self._kept_for(settings.ttl),
            namespace=request.namespace,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            scope=request.scope_hash,
            embedder=found.embedder,
            tags=settings.tags,
            aliases=aliases,
            duration_ms=duration_ms,
            cost_usd=cost,
        )
        backend, state = self.bound()
        try:
            if found.lease is not None:
                return await found.lease.store(self, state, entry), cost
            await self._operation(state, lambda: backend.set(request.key, entry), backend, "write")
        except Outage as outage:
            found.outcome, found.reason = "error", str(outage)
            return False, cost
        return True, cost
