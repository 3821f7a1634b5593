"""What happens to a fresh answer: whether and in what form it is stored, and what is learned from it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls.identity import Place
from semantic_llm_cache.calls.refusals import NotStored, accepts, because
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import CacheEntry, parse_ttl
from semantic_llm_cache.engine import late
from semantic_llm_cache.engine.access import Access, Storage
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.learning import Learning, snapshot
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import ALONE, NOTHING_USED, Fresh, Outage, Outcome, Put, Unreadable, Used
from semantic_llm_cache.exceptions import CacheSerializationError, EncryptionKeyError
from semantic_llm_cache.keys.request import REFUSED
from semantic_llm_cache.matching.decider import Decider
from semantic_llm_cache.metrics.pricing import make_price, usage_of
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.values.encoding import Encoded, dumps, freeze, is_immutable, loads, same
from semantic_llm_cache.values.offload import is_large, off_loop
from semantic_llm_cache.values.rebuilding import NoSuchType, rebuild
from semantic_llm_cache.values.return_types import Returned

if TYPE_CHECKING:
    from semantic_llm_cache.engine.noise import SecondCalls

__all__ = ["Admission"]


_NO_TIME = because("ttl", "its time to live is zero")


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
        self._second_calls: SecondCalls | None = None
        if options.noise == "measure":
            from semantic_llm_cache.engine.noise import SecondCalls

            self._second_calls = SecondCalls(learning, notices)
        self._price = make_price(options.price)

    # ------------------------------------------------------------------------------ weighing

    def share(self, value: Any, settings: CallSettings) -> Any:
        """Return the value in a form that can be shared, or `ALONE` when it has none."""
        if is_immutable(value):
            return value
        try:
            text = dumps(value)
            back = rebuild(loads(text), settings.target)
            if not same(back, value):
                raise CacheSerializationError(f"the answer (a {type(value).__qualname__}) would not come back as it is")
        except Exception as error:  # comparing may run the value's own code
            self.warn_unstorable(error, settings, value)
            return ALONE
        return Encoded(text)

    def warn_unstorable(self, error: Exception, settings: CallSettings, value: Any = None) -> None:
        """Warn, once per function, that an answer has no stored form, and say what to do."""
        reason = _why_not(value, error, settings.returned)
        self._notices.warn_once("unstorable", f"an answer is returned uncached: {reason}", settings.returned)

    async def shared(self, value: Any, settings: CallSettings) -> Any:
        """Do the same as `share`, in a thread if the value is large."""
        return await off_loop(self.share, value, settings) if is_large(value) else self.share(value, settings)

    async def weigh(self, call: Call, value: Any, duration_ms: float) -> Fresh:
        """Return a fresh answer with everything that `admit` needs to know about it."""
        refused = self._refusal(value)
        if call.request.redacted == REFUSED:
            refused = because("redact")
        elif not call.settings.asks.may_store:
            refused = _NO_TIME if call.settings.asks.ttl == 0 else because("no-store")
        return await self.form(call, value, duration_ms, refused)

    async def form(self, call: Call, value: Any, duration_ms: float, refused: str = "") -> Fresh:
        """Do the same as `weigh` for an answer of which it is known why it is not wanted, if so."""
        ttl: float | None = None
        if not refused:
            ttl, refused = self._lifetime(call, value)
        return Fresh(value, await self.shared(value, call.settings), refused, duration_ms, ttl)

    def _lifetime(self, call: Call, value: Any) -> tuple[float | None, str]:
        """Return the answer's time to live, None if it never expires, and why it is not stored, if so."""
        ttl = call.settings.ttl
        if callable(ttl):
            try:
                given: Any = ttl(value, call.request)
            except Exception as error:
                self._notices.log_once(
                    "ttl",
                    f"ttl raised {describe(error)}, so answers are not stored: it is called with the answer and its "
                    "Request",
                )
                return 0.0, because("ttl", f"it raised {describe(error)}")
            try:
                ttl = parse_ttl(given)
            except (TypeError, ValueError):  # whose text may quote the answer
                return 0.0, self._no_lifetime(given)
        if ttl != 0:
            return ttl, ""
        return ttl, because("ttl", f"category {call.settings.category}") if call.settings.own_ttl else _NO_TIME

    def _no_lifetime(self, given: Any) -> str:
        """Log that `ttl` returned something else than a time to live, and return that as the reason."""
        if inspect.iscoroutine(given):
            given.close()
        kind = type(given).__name__
        self._notices.log_once(
            "ttl",
            f"ttl returned a value of type {kind} that is no time to live, so answers are not stored: return seconds, "
            'a timedelta, text such as "1h30m", 0, or None',
        )
        return because("ttl", f"it returned a value of type {kind} that is no time to live")

    def _refusal(self, value: Any) -> str:
        """Return why `cache_if` does not want an answer stored, ``""`` if it does."""
        if self._options.cache_if is None:
            return ""
        try:
            return "" if accepts(self._options.cache_if, value) else because("cache-if", "it returned False")
        except NotStored as refusal:
            return refusal.reason
        except Exception as error:
            raised = f"it raised {describe(error)}"
            self._notices.log_once("cache_if", f"cache_if raised {describe(error)}: answers are not stored")
            return because("cache-if", raised)

    # ------------------------------------------------------------------------------ storing

    def may_wait(self, call: Call) -> bool:
        """Return whether `admit` may have to wait for something outside this thread."""
        return not self._access.backend.in_process or (call.settings.similarity < 1 and not self._decider.plain)

    async def admit(self, call: Call, fresh: Fresh) -> Outcome:
        """Learn from a fresh answer, store it if allowed, and return the flight's outcome."""
        try:
            return await self._admit(call, fresh)
        except EncryptionKeyError as error:
            if self._options.on_error == "raise":
                raise
            # The storage was encrypted while the function ran: its answer is not lost, and the next call is refused.
            refused = describe(error)
        self._notices.log_once("key", f"an answer was not stored: {refused}")
        refused = because("backend", refused)
        return Outcome(call.found, fresh.value, fresh.shared, fresh.duration_ms, NOTHING_USED, False, refused)

    async def _admit(self, call: Call, fresh: Fresh) -> Outcome:
        put = Put(False, NOTHING_USED, fresh.refused)
        choice = call.found.choice
        kept, aliases, learned = fresh, tuple[str, ...](), True
        if choice is not None and choice.rival is not None:
            rival = choice.rival.entry
            same = self._learning.same_at_once(fresh.value, rival.response)
            learned = same is not None
            if same is not None:
                # Two prompts with the same answer share one, so that both get the same words.
                await self._learning.observe(call, choice, same)
                kept, aliases = fresh._replace(shared=freeze(rival.response)), (rival.prompt,)
        if fresh.wanted:
            put = await self.put(call, kept, aliases)
            if self._second_calls is not None:
                self._second_calls.begin(call, fresh.value)
            if put.stored and choice is not None and choice.ask_later is not None:
                background.later(self._learning.verify_later(call.request, call.found, choice.ask_later))
        if not learned:
            copied = fresh._replace(value=snapshot(fresh.value))
            self._learning.learn_later(call, copied, put.stored)
        return Outcome(call.found, fresh.value, fresh.shared, fresh.duration_ms, put.used, put.stored, put.refused)

    async def put(self, call: Call, fresh: Fresh, aliases: tuple[str, ...] = ()) -> Put:
        """Store an answer, unless something speaks against it."""
        request, found = call.request, call.found
        tokens = self._tokens(call, fresh)
        used = Used(*tokens, self._price(*tokens, fresh.value))
        refused = self._obstacle(call, fresh)
        if refused:
            return Put(False, used, refused)
        entry = CacheEntry(
            prompt=request.text,
            response=fresh.shared,
            embedding=found.vector,
            created_at=self._access.clock(),
            ttl=self._kept_for(fresh.ttl),
            namespace=request.namespace,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            scope=request.scope_hash,
            embedder=found.embedder,
            tags=call.labels,
            aliases=aliases,
            duration_ms=fresh.duration_ms,
            cost_usd=used.cost_usd,
        )
        storage = self._access.storage()
        if storage.state.withdrawals.concern(entry.tags, call.started):
            return Put(False, used, because("invalidated"))
        try:
            refused = await self._store(storage, entry, call)
        except Outage as outage:
            found.outcome, found.reason = "error", str(outage)
            if isinstance(outage, Unreadable) and isinstance(outage.__cause__, Exception):
                self.warn_unstorable(outage.__cause__, call.settings)
            return Put(False, used, because("rejected" if isinstance(outage, Unreadable) else "backend", str(outage)))
        if refused:
            return Put(False, used, refused)
        found.place = Place(request.key, entry.created_at)
        return Put(True, used)

    async def _store(self, storage: Storage, entry: CacheEntry, call: Call) -> str:
        """Write an entry; return why it is not kept, ``""`` if it is. Raises what `Storage.run` does."""
        key, lease = call.request.key, call.found.lease

        async def write() -> bool:
            if lease is not None:
                stored: bool = await lease.store(storage, entry)
                return stored
            await storage.put(key, entry)
            return True

        def withdrawn() -> Awaitable[bool]:
            return late.withdrawn_since(storage, call, entry.tags)

        return await late.put(storage, key, entry, write, withdrawn, labelled=call.is_labelled)

    def _tokens(self, call: Call, fresh: Fresh) -> tuple[int, int]:
        text = fresh.shared.text if type(fresh.shared) is Encoded and is_large(fresh.shared) else None
        try:
            return usage_of(fresh.value, call.request.text, text)
        except Exception:  # reading an answer may run its code
            return 0, 0

    def _obstacle(self, call: Call, fresh: Fresh) -> str:
        """Return why an answer cannot be stored, ``""`` if it can."""
        if fresh.refused:
            return fresh.refused
        if call.request.redacted == REFUSED:
            return because("redact")
        if fresh.shared is ALONE:
            return because("unserialisable", f"a {type(fresh.value).__qualname__}")
        if call.found.unread:
            return because("backend", "it could not be read before the call")
        most_prompt, most_response, shared = self._options.max_prompt, self._options.max_response, fresh.shared
        if len(call.request.text) > most_prompt:
            return because("too-large", f"prompts of more than {most_prompt} characters are not stored")
        size = len(shared.text) if type(shared) is Encoded else len(shared) if isinstance(shared, (str, bytes)) else 0
        if size > most_response:
            return because("too-large", f"answers of more than {most_response} characters are not stored")
        return ""

    def _kept_for(self, ttl: float | None) -> float | None:
        if ttl is None:
            return None
        if self._options.jitter:
            from random import Random  # imported late: it takes a third of a millisecond and is rarely needed

            # Our own generator, so that the program's random sequence does not change.
            ttl *= 1 - self._options.jitter * Random().random()
        return ttl + self._options.stale_window


def _why_not(value: Any, error: Exception, returned: Returned | None) -> str:
    """Return why an answer cannot be stored, and what to do."""
    if inspect.isawaitable(value):
        return (
            "the function returned something to await, which a plain function cannot wait for: make it `async def`, "
            "or annotate it as returning Awaitable[...]"
        )
    if isinstance(value, (Iterator, AsyncIterator)):
        return (
            f"the function returned an iterator (a {type(value).__qualname__}): make the function itself a generator, "
            "with `yield`, and its chunks are cached"
        )
    if isinstance(error, NoSuchType):
        return f"{describe(error)}: {(returned or Returned()).advice(error)}"
    return describe(error)
