"""What happens to a fresh answer: whether and in what form it is stored, and what is learned from it."""

from __future__ import annotations

from typing import Any

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.learning import Learning
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import ALONE, Fresh, Outage, Outcome
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.matching.decider import Decider
from semantic_llm_cache.metrics.pricing import make_price, usage_of
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.values.encoding import Encoded, dumps, freeze, is_immutable, loads, same
from semantic_llm_cache.values.offload import is_large, off_loop
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["Admission"]


class Admission:
    """The storing side of an engine.

    Args:
        options: the engine's options.
        access: to storage and embedder.
        decider: says whether everything can be decided without waiting.
        learning: learns from fresh answers.
        notices: logs problems.
    """

    def __init__(
        self, options: Options, access: Access, decider: Decider, learning: Learning, notices: Notices
    ) -> None:
        self._options = options
        self._access = access
        self._decider = decider
        self._learning = learning
        self._notices = notices
        self._price = make_price(options.price)

    # ------------------------------------------------------------------------------ weighing

    def share(self, value: Any, target: Any) -> Any:
        """Return the value in a form that can be shared, or `ALONE` when it has none."""
        if is_immutable(value):
            return value
        try:
            text = dumps(value)
            back = rebuild(loads(text), target)
            if not same(back, value):
                raise CacheSerializationError(f"the answer (a {type(value).__qualname__}) would not come back as it is")
        except Exception as error:  # comparing may run the value's own code
            self._notices.warn_once("unstorable", f"an answer is returned uncached: {describe(error)}")
            return ALONE
        return Encoded(text)

    async def shared(self, value: Any, target: Any) -> Any:
        """Do the same as `share`, in a thread if the value is large."""
        return await off_loop(self.share, value, target) if is_large(value) else self.share(value, target)

    async def weigh(self, call: Call, value: Any, duration_ms: float) -> Fresh:
        """Return a fresh answer with everything that `admit` needs to know about it."""
        wanted = self._is_wanted(value) and call.settings.asks.may_store
        return Fresh(value, await self.shared(value, call.settings.target), wanted, duration_ms)

    def _is_wanted(self, value: Any) -> bool:
        if self._options.cache_if is None:
            return True
        try:
            return bool(self._options.cache_if(value))
        except Exception as error:
            self._notices.log_once("cache_if", f"cache_if raised {describe(error)}: answers are not stored")
            return False

    # ------------------------------------------------------------------------------ storing

    def may_wait(self, call: Call) -> bool:
        """Return whether `admit` may have to wait for something outside this thread."""
        return not self._access.backend.in_process or (call.settings.similarity < 1 and not self._decider.plain)

    async def admit(self, call: Call, fresh: Fresh) -> Outcome:
        """Learn from a fresh answer, store it if allowed, and return the flight's outcome."""
        stored, cost = False, 0.0
        choice = call.found.choice
        kept, aliases, learned = fresh, tuple[str, ...](), True
        if choice is not None and choice.rival is not None:
            rival = choice.rival.entry
            same = self._learning.same_at_once(fresh.value, rival.response)
            learned = same is not None
            if same is not None:
                # Two prompts with the same answer share one, so that both get the same words.
                await self._learning.observe(choice, same)
                kept, aliases = fresh._replace(shared=freeze(rival.response)), (rival.prompt,)
        if fresh.wanted:
            stored, cost = await self.put(call, kept, aliases)
            if stored and choice is not None and choice.ask_later is not None:
                background.later(self._learning.verify_later(call.request, call.found, choice.ask_later))
        if not learned:
            self._learning.learn_later(call, fresh, stored)
        return Outcome(call.found, fresh.value, fresh.shared, fresh.duration_ms, cost, stored)

    async def put(self, call: Call, fresh: Fresh, aliases: tuple[str, ...] = ()) -> tuple[bool, float]:
        """Store an answer; return whether it was, and what the call had cost in USD."""
        request, found = call.request, call.found
        tokens = self._tokens(call, fresh)
        cost = self._price(*tokens, fresh.value)
        if fresh.shared is ALONE or found.unread or not self._is_short_enough(call, fresh):
            return False, cost
        entry = CacheEntry(
            prompt=request.text,
            response=fresh.shared,
            embedding=found.vector,
            created_at=self._access.clock(),
            ttl=self._kept_for(call.settings.ttl),
            namespace=request.namespace,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            scope=request.scope_hash,
            embedder=found.embedder,
            tags=call.settings.tags,
            aliases=aliases,
            duration_ms=fresh.duration_ms,
            cost_usd=cost,
        )
        storage = self._access.storage()
        try:
            if found.lease is not None:
                return await found.lease.store(storage, entry), cost
            await storage.put(request.key, entry)
        except Outage as outage:
            found.outcome, found.reason = "error", str(outage)
            return False, cost
        return True, cost

    def _tokens(self, call: Call, fresh: Fresh) -> tuple[int, int]:
        text = fresh.shared.text if type(fresh.shared) is Encoded and is_large(fresh.shared) else None
        try:
            return usage_of(fresh.value, call.request.text, text)
        except Exception:  # reading an answer may run its code
            return 0, 0

    def _is_short_enough(self, call: Call, fresh: Fresh) -> bool:
        most_prompt, most_response, shared = self._options.max_prompt, self._options.max_response, fresh.shared
        if len(call.request.text) > most_prompt:
            self._notices.log_once("max_prompt", f"prompts of more than {most_prompt} characters are not stored")
            return False
        size = len(shared.text) if type(shared) is Encoded else len(shared) if isinstance(shared, (str, bytes)) else 0
        if size > most_response:
            self._notices.log_once("max_response", f"answers of more than {most_response} characters are not stored")
            return False
        return True

    def _kept_for(self, ttl: float | None) -> float | None:
        if ttl is None:
            return None
        if self._options.jitter:
            from random import Random  # imported late: it takes a third of a millisecond and is rarely needed

            # Our own generator, so that the program's random sequence does not change.
            ttl *= 1 - self._options.jitter * Random().random()
        return ttl + self._options.stale_window
