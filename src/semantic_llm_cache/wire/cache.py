"""`WireCache`: the door for requests on the wire, whatever carries them: a client's transport or a proxy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from semantic_llm_cache.calls.control import HEADER, CacheControl
from semantic_llm_cache.calls.lookup import forget
from semantic_llm_cache.calls.refusals import NotStored, accepts, because
from semantic_llm_cache.calls.settings import current
from semantic_llm_cache.config import CacheConfig
from semantic_llm_cache.engine.driving import Step, Steps, drive, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.values.rebuilding import AsStored
from semantic_llm_cache.wire import records
from semantic_llm_cache.wire.answering import NoAnswer, answering, held
from semantic_llm_cache.wire.base import Asked, Format, Reading
from semantic_llm_cache.wire.checks import ToolCalls, check_names, check_temperature, check_tool_calls
from semantic_llm_cache.wire.formats import find_format
from semantic_llm_cache.wire.large import LONG
from semantic_llm_cache.wire.neutral import CREDENTIALS
from semantic_llm_cache.wire.principals import Given, Principal
from semantic_llm_cache.wire.recent import Recent
from semantic_llm_cache.wire.replies import Headers, Plan, Reply, Upstream, answer_in, bypassed, format_of, words
from semantic_llm_cache.wire.scoping import (
    check_neutral_headers,
    check_scope,
    counting,
    host_of,
    scope_given,
    scope_of_address,
    scope_of_headers,
)
from semantic_llm_cache.wire.steps import Apart, Call
from semantic_llm_cache.wire.strict import Bypass, read_object
from semantic_llm_cache.wire.turns import check_history

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import EngineOptions

__all__ = ["NoAnswer", "Plan", "Reply", "Upstream", "WireCache"]

_NOTHING = CacheControl()
_TRAVELS = ("stream", "stream_options", "n")
"""Fields of a body that are needed after it was read: they say in which form the answer comes, and how much."""

_OWN = (
    "cache", "history", "tool_calls", "max_temperature", "share_across_keys", "principal", "ignore", "neutral_headers",
    "scope", "replay_delay",
)  # fmt: skip


class WireCache:
    """Answers requests on the wire from the cache, or has them sent.

    Args:
        cache: the engine; None makes one from `options`.
        history: ``"exact"``, or ``"window:2"``: only so many messages before the last user turn (and system
            prompts) must be equal. With a window, conversations that began differently share answers: what was
            said before the window does not count. A turn that means nothing alone always needs an equal history.
        tool_calls: ``"bypass"``: answers that call tools are not stored, or ``"cache"``.
        max_temperature: requests with a higher temperature bypass the cache; None is no bound. A
            request without a temperature is never too high.
        share_across_keys: whether callers with different credentials share answers.
        principal: who asks, in place of the credential, which may rotate: a text, or a plain callable that returns it.
            It is called for each request, with a `Sent` (its URL and headers) if it takes an argument. **Callers with
            the same principal share answers.** For None and ``""`` the credential counts; a request for which it
            raises, or returns something else, bypasses the cache.
        ignore: fields of the request's body that do not count, such as ``"user"``.
        neutral_headers: headers that do not count, beside those listed in ``docs/keys.md``: exact names of headers
            that can neither change an answer nor name a caller, such as a gateway's own tracing.
        scope: more that counts: a mapping, or a callable that reads it (a tenant from a context variable).
        replay_delay: seconds between the events of a replayed stream.
        options: of `SemanticCache`; with `cache`, those in which this door differs. Callables get
            answers in a readable form: `cache_if` and `price` the JSON body, `verify` and `same_answer` its words.

    Raises:
        ValueError, TypeError: naming the argument.
    """

    def __init__(
        self,
        cache: Engine | None = None,
        *,
        history: str = "exact",
        tool_calls: ToolCalls = "bypass",
        max_temperature: float | None = None,
        share_across_keys: bool = False,
        principal: Given = None,
        ignore: Iterable[str] = (),
        neutral_headers: Iterable[str] = (),
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        replay_delay: float | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.reading = Reading(check_history(history), check_tool_calls(tool_calls), check_names(ignore, "ignore"))
        self.max_temperature = check_temperature(max_temperature)
        self.share_across_keys = share_across_keys
        self.principal = Principal(principal)
        more: dict[str, Any] = {**options}
        if "ignore_headers" in more:  # its first name
            warnings.warn("ignore_headers= is now neutral_headers=", DeprecationWarning, stacklevel=2)
            neutral_headers = (*check_neutral_headers(more.pop("ignore_headers")), *neutral_headers)
        self.neutral_headers = check_neutral_headers(neutral_headers)
        self.scope = scope
        self.replay_delay = replay_delay
        engine = Engine.of_door(cache, more, also=_OWN)
        self._cache_if = engine.cache_if
        self.recent = Recent()
        self._name = ""
        self.engine = engine.derive(**self._translated(engine))

    def _translated(self, engine: Engine) -> dict[str, Any]:
        """Return the options that are callables, wrapped to get answers in a readable form."""
        given = engine.options
        changed: dict[str, Any] = {"cache_if": self._fit}
        verify, same, price = given.verify, given.same_answer, given.price
        if verify is not None:
            changed["verify"] = lambda prompt, other, record: verify(prompt, other, words(record))
        if same is not None and not hasattr(same, "compare_with"):  # an AnswerJudge reads records itself
            changed["same_answer"] = lambda fresh, stored: same(words(fresh), words(stored))
        if price is not None and not isinstance(price, CacheConfig) and callable(price):
            changed["price"] = lambda given, made, record: price(given, made, answer_in(record))
        return changed

    def __cache_scope__(self) -> dict[str, Any]:
        """As a field of an instance whose method is cached: what decides who shares its answers, not the engine."""
        return {
            "reading": self.reading,
            "max_temperature": self.max_temperature,
            "share_across_keys": self.share_across_keys,
            "principal": self.principal,
            "neutral_headers": self.neutral_headers,
            "scope": self.scope() if callable(self.scope) else self.scope,
            "namespace": self.engine.namespace,
        }

    def share_recent(self, recent: Recent, name: str) -> None:
        """Keep parsed requests in a table that several doors share.

        Args:
            recent: the table.
            name: of this door, other than that of any other door that shares it.
        """
        self.recent, self._name = recent, name

    def _fit(self, record: Any) -> bool:
        """Return whether a record may be stored. Raises NotStored with the reason where the answer is not fit."""
        known = format_of(record)
        most = self.engine.options.max_response
        if known is not None and len(record.get("body", "")) > most:  # not read again, which takes long
            raise NotStored(because("too-large", f"answers of more than {most} characters are not stored"))
        answer = None if known is None else records.answer_of(known, record)
        if known is None or answer is None:
            raise NotStored(because("no-answer"))
        try:
            reason = known.unfit(answer, self.reading.tool_calls)
        except (TypeError, KeyError, AttributeError, IndexError, ValueError):
            reason = because("no-answer", f"it is no answer of {known.name}")
        if reason:
            raise NotStored(reason)
        return self._cache_if is None or accepts(self._cache_if, answer)

    # ---------------------------------------------------------------------------- the request

    def plan(
        self, method: str, url: str, headers: Headers, body: bytes, control: Any = None, carrier: str | None = None
    ) -> Plan | None:
        """Do `plan_or_reason`, and return None in place of a reason."""
        made = self.plan_or_reason(method, url, headers, body, control, carrier)
        return made if isinstance(made, Plan) else None

    def plan_or_reason(
        self, method: str, url: str, headers: Headers, body: bytes, control: Any = None, carrier: str | None = None
    ) -> Plan | str:
        """Read a request; return why it bypasses the cache where it does, ``""`` for no model call. Never raises.

        Args:
            method: of HTTP.
            url: whole.
            headers: of the request; ``x-cache-control`` among them is obeyed.
            body: its bytes.
            control: the call's cache control, in place of the header.
            carrier: what counts of whatever sends the request, such as a proxy's credential; None is nothing.
        """
        made: Plan | str = drive_blocking(self.planning(method, url, headers, body, control, carrier))
        return made

    def planning(
        self, method: str, url: str, headers: Headers, body: bytes, control: Any = None, carrier: str | None = None
    ) -> Steps:
        """The steps of `plan_or_reason`. On an event loop they read a large body in a thread."""
        try:
            known = find_format(urlsplit(url).path) if method == "POST" else None
            if known is None:
                return ""
            forget()  # a request that bypasses the cache must not pass for the one before it
            made = yield from self._plan(known, url, headers, body, control, carrier)
            return "" if made is None else made
        except Exception as error:  # the provider must get whatever a caller sends, and say what is wrong with it
            return self.bypass(error)

    def bypass(self, error: Exception) -> str:
        """Log, once for each reason, that a request bypasses the cache; return the reason as `because` makes it."""
        # Messages of other errors may hold what was asked.
        reason = str(error) if isinstance(error, Bypass) else type(error).__name__
        self.engine.log_once(f"plan {reason}", f"a request bypasses the cache: {reason}")
        return because("bypass", reason)

    def bypassed(self, reason: str) -> Headers:
        """Count and report a request that bypasses the cache; return the headers that say so."""
        self.engine.bypassed(reason=reason)
        return bypassed(reason)

    def _plan(self, known: Format, url: str, headers: Headers, body: bytes, control: Any, carrier: str | None) -> Steps:
        """Return the plan of a request, None for one with no question."""
        if control is None:
            control = next((v for name, v in headers if len(name) == len(HEADER) and name.lower() == HEADER), None)
        asks = None if control is None else CacheControl.read(control)
        settings, namespace = current(self.engine, self.engine.settings(AsStored), asks)
        place = found = None
        who = self.principal.of(url, headers)
        if self.scope is None:
            secret = os.environ.get("SEMANTIC_LLM_CACHE_SECRET", "")
            about = (self._name, url, namespace or "", secret, carrier or "", "" if who is None else f"by {who}")
            parts = (*about, *counting(headers, self.neutral_headers))
            place = self.recent.place(parts, body)
            found = self.recent.get(place)
        if found is None:
            read = yield from _reading(body, lambda: self._read(known, url, headers, body, who))
            if read is None:
                return None
            (asked, model), given = read, scope_given(self.scope)  # here: it may read what belongs to this thread
            found = yield from _reading(body, lambda: self._found(asked, model, given, carrier, namespace))
            self.recent.put(place, found)
        asked, request, tags = found
        settings = replace(settings, own_tags=(*settings.own_tags, *tags))
        if not asked.near:
            settings.similarity = 1.0
        plan = Plan(known, asked, request, settings, settings.control or _NOTHING)
        if self.share_across_keys or who is not None:
            plan.sender = (url, *(value for name, value in headers if name.lower() in CREDENTIALS))
        return plan

    def _read(
        self, known: Format, url: str, headers: Headers, body: bytes, who: str | None
    ) -> tuple[Asked, str] | None:
        """Return what a request asks, and the model that its body names, if any; None for one with no question."""
        shares = self.share_across_keys or who is not None
        # First: they say in which coding the body is.
        counted = scope_of_headers(headers, shares, self.neutral_headers, host_of(url))
        read = read_object(body)
        asked = None if read is None else known.read(read, self.reading)
        if read is None or asked is None:
            return None
        if self._too_warm(read):
            raise Bypass("its temperature is above max_temperature")
        scope = {
            "door": "wire",
            **asked.scope,
            **scope_of_address(url, shares),
            "headers": counted,
        }
        if who is not None:
            scope["principal"] = secret_hash(who)
        travels: dict[str, Any] = {name: read[name] for name in _TRAVELS if name in read}
        model = read.get("model")
        return replace(asked, scope=scope, body=travels), model if isinstance(model, str) else ""

    def _found(
        self, asked: Asked, model: str, given: Any, carrier: str | None, namespace: str | None
    ) -> tuple[Asked, Request, tuple[str, ...]]:
        """Return what a request asks, the engine's request for it, and its tags; `given` is what `scope=` says."""
        scope = {
            **asked.scope,
            "carrier": carrier,
            "scope": given,
            "within": self.engine.namespace if namespace else None,
        }
        try:
            request = self.engine.fitted(Request(namespace or self.engine.namespace, scope, asked.text))
        except CacheKeyError:
            check_scope(given)
            raise
        return replace(asked, scope=None), request, (f"model:{model}",) if model else ()

    def _too_warm(self, body: Mapping[str, Any]) -> bool:
        options = body.get("options")
        given = body.get("temperature", options.get("temperature") if isinstance(options, Mapping) else None)
        return self.max_temperature is not None and isinstance(given, (int, float)) and given > self.max_temperature

    # ---------------------------------------------------------------------------- the answer

    def held(self, plan: Plan) -> Reply | None:
        """Return the reply to an exact hit that needs no waiting; None where `answer` has to be asked.

        Its body is bytes, also where a stream was asked for: all events at once.
        """
        return None if self.replay_delay and plan.asked.stream else held(self.engine, plan)

    async def answer(self, plan: Plan, send: Callable[[], Awaitable[Upstream]]) -> Reply:
        """Answer a request from the cache, or with the response that `send` returns.

        Raises:
            Whatever `send` raises, unchanged.
        """
        reply: Reply = await drive(self.answering(plan, Call(send)))
        return reply

    def answer_blocking(self, plan: Plan, send: Callable[[], Upstream]) -> Reply:
        """`answer` for plain code."""
        reply: Reply = drive_blocking(self.answering(plan, Call(send)))
        return reply

    def answering(self, plan: Plan, send: Step) -> Steps:
        """The steps of `answer`, for a door that has steps of its own; they return a `Reply`."""
        return answering(self.engine, plan, send, self.replay_delay)


def _reading(body: bytes, function: Callable[[], Any]) -> Steps:
    """Return what a function returns, called in a thread if the body is large and an event loop is waiting."""
    return (yield Apart(function)) if len(body) > LONG else function()
