"""`WireCache`: the door for requests on the wire, whatever carries them: a client's transport or a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.control import HEADER, CacheControl
from semantic_llm_cache.calls.lookup import last_lookup
from semantic_llm_cache.calls.settings import current
from semantic_llm_cache.config import CacheConfig
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.exceptions import CacheNotFoundError, PromptCacheError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.streams.plain import settled_blocking, stream_blocking
from semantic_llm_cache.streams.stream import settled, stream
from semantic_llm_cache.wire import records
from semantic_llm_cache.wire.base import Asked, Format, Reading
from semantic_llm_cache.wire.events import Splitter
from semantic_llm_cache.wire.formats import find_format
from semantic_llm_cache.wire.recent import Recent
from semantic_llm_cache.wire.replies import (
    OUTCOMES,
    Headers,
    Plan,
    Reply,
    Upstream,
    WireCodec,
    answer_in,
    as_json,
    drain,
    format_of,
    forwarded,
    fresh,
    not_cached,
    passed,
    passed_blocking,
    words,
)
from semantic_llm_cache.wire.scoping import (
    check_neutral_headers,
    counting,
    host_of,
    scope_of_address,
    scope_of_headers,
)
from semantic_llm_cache.wire.strict import Bypass, read_object
from semantic_llm_cache.wire.turns import check_history

__all__ = ["NoAnswer", "Plan", "Reply", "Upstream", "WireCache"]

_DRAIN = 0.25
"""Seconds given to a provider to end a stream whose last event is here, so that its connection can be used again."""

_NOTHING = CacheControl()
_OWN = (
    "history", "tool_calls", "max_temperature", "share_across_keys", "ignore", "neutral_headers", "scope",
    "replay_delay",
)  # fmt: skip


class NoAnswer(Exception):
    """A provider's response that is no answer: an error, or something that is not of its format.

    Attributes:
        reply: what all who waited get.
        final: True where an older answer must not take its place: the provider has refused this caller.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply
        self.final = 400 <= reply.status < 500 and reply.status not in (408, 409, 425, 429)


class WireCache:
    """Answers requests on the wire from the cache, or has them sent.

    Args:
        cache: the engine; None makes one from `options`.
        history: ``"exact"``, or ``"window:2"``: only so many messages before the last user turn (and system
            prompts) must be equal. A window answers across conversations that began differently: what was said
            before it is not looked at. Turns that mean nothing alone are matched in equal histories in any case.
        tool_calls: ``"bypass"``: answers that call tools are not stored, or ``"cache"``.
        max_temperature: requests with a higher temperature bypass the cache; None is no bound, and so is a
            temperature that is not given.
        share_across_keys: whether callers with different credentials share answers.
        ignore: fields of the request's body that do not count, such as ``"user"``.
        neutral_headers: headers that do not count, beside those listed in ``docs/keys.md``: exact names of headers
            that can neither change an answer nor name a caller, such as a gateway's own tracing.
        scope: more that counts: a mapping, or a callable that reads it (a tenant from a context variable).
        replay_delay: seconds between the events of a replayed stream.
        options: of `SemanticCache`; with `cache`, those in which this door differs. Callables see answers as
            people do: `cache_if` and `price` the JSON body, `verify` and `same_answer` its words.

    Raises:
        ValueError, TypeError: naming the argument.
    """

    def __init__(
        self,
        cache: Engine | None = None,
        *,
        history: str = "exact",
        tool_calls: str = "bypass",
        max_temperature: float | None = None,
        share_across_keys: bool = False,
        ignore: Iterable[str] = (),
        neutral_headers: Iterable[str] = (),
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        replay_delay: float | None = None,
        **options: Any,
    ) -> None:
        if tool_calls not in ("bypass", "cache"):
            raise ValueError(f"tool_calls={tool_calls!r} must be 'bypass' or 'cache'")
        if max_temperature is not None and (
            isinstance(max_temperature, bool) or not isinstance(max_temperature, (int, float))
        ):
            raise TypeError(f"max_temperature={max_temperature!r} must be a number, or None for no bound")
        if isinstance(ignore, str):
            raise TypeError(f"ignore={ignore!r} must be a collection of names, such as ({ignore!r},)")
        self.reading = Reading(check_history(history), tool_calls == "cache", frozenset(ignore))
        self.max_temperature = max_temperature
        self.share_across_keys = share_across_keys
        if "ignore_headers" in options:  # its first name
            warnings.warn("ignore_headers= is now neutral_headers=", DeprecationWarning, stacklevel=2)
            neutral_headers = (*check_neutral_headers(options.pop("ignore_headers")), *neutral_headers)
        self.neutral_headers = check_neutral_headers(neutral_headers)
        self.scope = scope
        self.replay_delay = replay_delay
        engine = Engine.of_door(cache, options, also=_OWN)
        self._cache_if = engine.cache_if
        self._recent = Recent()
        self.engine = engine.derive(**self._translated(engine))

    def _translated(self, engine: Engine) -> dict[str, Any]:
        """Return the options that are callables, made to see answers as people do."""
        given = engine.options
        changed: dict[str, Any] = {"cache_if": self._fit}
        verify, same, price = given.verify, given.same_answer, given.price
        if verify is not None:
            changed["verify"] = lambda prompt, other, record: verify(prompt, other, words(record))
        if same is not None:
            changed["same_answer"] = lambda fresh, stored: same(words(fresh), words(stored))
        if price is not None and not isinstance(price, CacheConfig) and callable(price):
            changed["price"] = lambda given, made, record: price(given, made, answer_in(record))
        return changed

    def _fit(self, record: Any) -> bool:
        """Tell whether a record may be stored."""
        known = format_of(record)
        answer = None if known is None else records.answer_of(known, record)
        if known is None or answer is None:
            return False
        try:
            if known.unfit(answer, self.reading.tool_calls):
                return False
        except (TypeError, KeyError, AttributeError, IndexError, ValueError):
            return False
        return self._cache_if is None or bool(self._cache_if(answer))

    # ---------------------------------------------------------------------------- the request

    def plan(
        self, method: str, url: str, headers: Headers, body: bytes, control: Any = None, carrier: str | None = None
    ) -> Plan | None:
        """Read a request; None for one that bypasses the cache. Never raises.

        Args:
            method: of HTTP.
            url: whole.
            headers: of the request; ``x-cache-control`` among them is obeyed.
            body: its bytes.
            control: what the call asks of the cache, in place of the header.
            carrier: what counts of whatever sends the request, such as a proxy's credential; None is nothing.
        """
        try:
            known = find_format(urlsplit(url).path) if method == "POST" else None
            return None if known is None else self._plan(known, url, headers, body, control, carrier)
        except Exception as error:  # whatever a caller sends must reach the provider, who says what is wrong with it
            self.bypass(error)
            return None

    def bypass(self, error: Exception) -> None:
        """Log, once for each reason, that a request bypasses the cache."""
        # Messages of other errors may hold what was asked.
        reason = str(error) if isinstance(error, Bypass) else type(error).__name__
        self.engine.log_once(f"plan {reason}", f"a request bypasses the cache: {reason}")

    def _plan(
        self, known: Format, url: str, headers: Headers, body: bytes, control: Any, carrier: str | None
    ) -> Plan | None:
        if control is None:
            control = next((v for name, v in headers if len(name) == len(HEADER) and name.lower() == HEADER), None)
        asks = None if control is None else CacheControl.read(control)
        settings, namespace = current(self.engine, self.engine.settings(), asks)
        place = found = None
        if self.scope is None:
            secret = os.environ.get("SEMANTIC_LLM_CACHE_SECRET", "")
            parts = (url, namespace or "", secret, carrier or "", *counting(headers, self.neutral_headers))
            place = self._recent.place(parts, body)
            found = self._recent.get(place)
        if found is None:
            read = self._read(known, url, headers, body)
            if read is None:
                return None
            found = self._found(*read, carrier, namespace)
            self._recent.put(place, found)
        asked, request, tag = found
        settings = replace(settings, tags=(*settings.tags, tag))
        if not asked.near:
            settings.similarity = 1.0
        return Plan(known, asked, request, settings, settings.control or _NOTHING)

    def _read(self, known: Format, url: str, headers: Headers, body: bytes) -> tuple[Asked, str] | None:
        """Return what a request asks, and its model; None for one that bypasses the cache."""
        read = read_object(body)
        asked = None if read is None else known.read(read, self.reading)
        if read is None or asked is None or self._too_warm(read):
            return None
        scope = {
            "door": "wire",
            **asked.scope,
            **scope_of_address(url, self.share_across_keys),
            "headers": scope_of_headers(headers, self.share_across_keys, self.neutral_headers, host_of(url)),
        }
        # Of the body only what says how the answer travels is needed from here on.
        travels: dict[str, Any] = {name: read[name] for name in ("stream", "stream_options") if name in read}
        return replace(asked, scope=scope, body=travels), read["model"]

    def _found(
        self, asked: Asked, model: str, carrier: str | None, namespace: str | None
    ) -> tuple[Asked, Request, str]:
        """Return what a request asks, the engine's request for it, and its tag."""
        scope = {
            **asked.scope,
            "carrier": carrier,
            "scope": self.scope() if callable(self.scope) else self.scope,
            "within": self.engine.namespace if namespace else None,
        }
        request = Request(namespace or self.engine.namespace, scope, asked.text)
        return replace(asked, scope=None), request, f"model:{model}"

    def _too_warm(self, body: Mapping[str, Any]) -> bool:
        options = body.get("options")
        given = body.get("temperature", options.get("temperature") if isinstance(options, Mapping) else None)
        return self.max_temperature is not None and isinstance(given, (int, float)) and given > self.max_temperature

    # ---------------------------------------------------------------------------- the async way

    async def answer(self, plan: Plan, send: Callable[[], Awaitable[Upstream]]) -> Reply:
        """Answer a request from the cache, or with what `send` brings.

        Raises:
            Whatever `send` raises, unchanged.
        """
        lookups.remember(None)
        try:
            if plan.control.only_if_cached and not await self._known(plan):
                return not_cached()
            return await (self._stream(plan, send) if plan.asked.stream else self._whole(plan, send))
        except NoAnswer as error:
            return fresh(error.reply, last_lookup())
        except CacheNotFoundError:
            return not_cached()
        except PromptCacheError as error:
            if self.engine.on_error == "raise":
                raise
            self.engine.log_once("wire", f"a request bypasses the cache: {describe(error)}")
            upstream = await send()
            return Reply(upstream.status, [*forwarded(upstream.headers), ("x-cache", "BYPASS")], passed(upstream))

    async def _known(self, plan: Plan) -> bool:
        found = await self.engine.probe(plan.request, plan.settings)
        if plan.asked.stream:
            return found.hit and records.blocks_of(plan.known, found.response, plan.asked) is not None
        return found.hit and records.body_of(plan.known, found.response) is not None

    async def _whole(self, plan: Plan, send: Callable[[], Awaitable[Upstream]]) -> Reply:
        async def call() -> dict[str, Any]:
            upstream = await send()
            try:
                data = b"".join([part async for part in upstream.body])
            finally:
                await upstream.close()
            return self._record(plan, upstream, data)

        if plan.settings.control is None:
            await settled(self.engine, plan.request.key)  # the same request, under way as a stream
        record = await self.engine.get_or_call(plan.request, call, settings=plan.settings)
        body = records.body_of(plan.known, record)
        if body is None:  # kept of a stream that did not say enough
            settings = replace(plan.settings, control=replace(plan.control, no_cache=True))
            record = await self.engine.get_or_call(plan.request, call, settings=settings)
            body = records.body_of(plan.known, record) or ""
        return self._told(plan, as_json(record), body.encode())

    def _record(self, plan: Plan, upstream: Upstream, data: bytes) -> dict[str, Any]:
        """Return what to keep of a response. Raises NoAnswer for what is no answer."""
        record = None
        if upstream.status == 200:
            with contextlib.suppress(UnicodeDecodeError):
                record = records.of_body(plan.known, records.kept_headers(upstream.headers), data.decode())
        if record is None:
            raise NoAnswer(Reply(upstream.status, forwarded(upstream.headers), data))
        plan.received = forwarded(upstream.headers)
        return record

    async def _stream(self, plan: Plan, send: Callable[[], Awaitable[Upstream]]) -> Reply:
        codec = WireCodec(plan)

        async def source() -> AsyncIterator[Any]:
            upstream = await send()
            body, over = aiter(upstream.body), False
            try:
                if upstream.status != 200:
                    data = b"".join([part async for part in body])
                    raise NoAnswer(Reply(upstream.status, forwarded(upstream.headers), data))
                plan.received = forwarded(upstream.headers)
                yield codec.head(upstream.headers)
                splitter = Splitter(plan.known.framing)
                async for part in body:
                    for block in splitter.feed(part):
                        over = codec.ends(block)
                        yield block
                for block in splitter.rest():
                    yield block
            finally:
                if over:
                    with contextlib.suppress(Exception):
                        await asyncio.wait_for(drain(body), _DRAIN)
                    with contextlib.suppress(Exception):
                        await upstream.close()
                else:
                    await upstream.close()

        chunks = stream(self.engine, plan.request, source, plan.settings, self.replay_delay, codec)
        head = await anext(chunks)

        async def body() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(chunks):  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk.encode("utf-8", "surrogateescape")

        return self._told(plan, dict(head), body())

    # ---------------------------------------------------------------------------- the plain way

    def answer_blocking(self, plan: Plan, send: Callable[[], Upstream]) -> Reply:
        """`answer` for plain code."""
        lookups.remember(None)
        try:
            if plan.control.only_if_cached and not background.run(self._known(plan)):
                return not_cached()
            return self._stream_blocking(plan, send) if plan.asked.stream else self._whole_blocking(plan, send)
        except NoAnswer as error:
            return fresh(error.reply, last_lookup())
        except CacheNotFoundError:
            return not_cached()
        except PromptCacheError as error:
            if self.engine.on_error == "raise":
                raise
            self.engine.log_once("wire", f"a request bypasses the cache: {describe(error)}")
            upstream = send()
            headers = [*forwarded(upstream.headers), ("x-cache", "BYPASS")]
            return Reply(upstream.status, headers, passed_blocking(upstream))

    def _whole_blocking(self, plan: Plan, send: Callable[[], Upstream]) -> Reply:
        def call() -> dict[str, Any]:
            upstream = send()
            try:
                data = b"".join(upstream.body)
            finally:
                upstream.close()
            return self._record(plan, upstream, data)

        if plan.settings.control is None:
            settled_blocking(self.engine, plan.request.key)
        record = self.engine.get_or_call_blocking(plan.request, call, plan.settings)
        body = records.body_of(plan.known, record)
        if body is None:
            settings = replace(plan.settings, control=replace(plan.control, no_cache=True))
            record = self.engine.get_or_call_blocking(plan.request, call, settings)
            body = records.body_of(plan.known, record) or ""
        return self._told(plan, as_json(record), body.encode())

    def _stream_blocking(self, plan: Plan, send: Callable[[], Upstream]) -> Reply:
        codec = WireCodec(plan)

        def source() -> Iterator[Any]:
            upstream = send()
            try:
                if upstream.status != 200:
                    data = b"".join(upstream.body)
                    raise NoAnswer(Reply(upstream.status, forwarded(upstream.headers), data))
                plan.received = forwarded(upstream.headers)
                yield codec.head(upstream.headers)
                splitter = Splitter(plan.known.framing)
                for part in upstream.body:
                    yield from splitter.feed(part)
                yield from splitter.rest()
            finally:
                with contextlib.suppress(Exception):
                    upstream.close()

        chunks = stream_blocking(self.engine, plan.request, source, plan.settings, self.replay_delay, codec)
        head = next(chunks)

        def body() -> Iterator[bytes]:
            with contextlib.closing(chunks):  # type: ignore[type-var]
                for chunk in chunks:
                    yield chunk.encode("utf-8", "surrogateescape")

        return self._told(plan, dict(head), body())

    # ---------------------------------------------------------------------------- the reply

    def _told(self, plan: Plan, kept: Mapping[str, str], body: Any) -> Reply:
        found = last_lookup()
        if plan.received and (found is None or not found.hit):
            return fresh(Reply(200, plan.received, body), found)
        outcome = "miss" if found is None else found.outcome
        headers = [*kept.items(), ("x-cache", OUTCOMES.get(outcome, "MISS"))]
        if found is not None and found.hit:
            if found.similarity is not None:
                headers.append(("x-cache-similarity", f"{found.similarity:.4f}"))
            headers.append(("age", str(int(found.age or 0))))
        return Reply(200, headers, body)
