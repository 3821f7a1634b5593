"""How a request on the wire is answered, for async and plain code alike: see `engine.driving`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from semantic_llm_cache.calls.lookup import forget, last_lookup
from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.engine.driving import Step, Steps
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.outcome import MISS
from semantic_llm_cache.exceptions import CacheNotFoundError, PromptCacheError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.streams.driving import streamed, streamed_blocking
from semantic_llm_cache.streams.steps import Give
from semantic_llm_cache.streams.stream import stream, stream_blocking
from semantic_llm_cache.wire import records
from semantic_llm_cache.wire.events import Splitter
from semantic_llm_cache.wire.large import LONG
from semantic_llm_cache.wire.replies import (
    ID_HEADER,
    OUTCOMES,
    Plan,
    Reply,
    Upstream,
    WireCodec,
    as_json,
    bypassed,
    for_others,
    forwarded,
    fresh,
    not_cached,
)
from semantic_llm_cache.wire.steps import END, Apart, Ask, Body, Call, Close, Do, Drain, Next, Source

__all__ = ["NoAnswer", "answering", "held"]

_OF_A_KEY = frozenset({401, 402, 403, 404, 407, 429})
"""Statuses that may be due to the key of a request: with another key the answer may be another one."""


class NoAnswer(NotStored):
    """A provider's response that is no answer: an error, or something that is not of its format.

    Attributes:
        reply: sent to every caller that waited for it.
        sender: of the `Plan` that asked the provider.
        final: True where no older answer may be served in its place: the provider has refused this caller.
    """

    def __init__(self, reply: Reply, sender: tuple[Any, ...] = ()) -> None:
        failed = reply.status != 200
        super().__init__(because("call-failed", f"status {reply.status}") if failed else because("no-answer"))
        self.reply = reply
        self.sender = sender
        self.final = 400 <= reply.status < 500 and reply.status not in (408, 409, 425, 429)


def answering(engine: Engine, plan: Plan, send: Step, replay_delay: float | None) -> Steps:
    """Answer a request from the cache, or with the `Upstream` that `send` returns; return a `Reply`."""
    forget()
    try:
        if not plan.control.may_call and not (yield Do(lambda: _is_known(engine, plan))):
            return not_cached()
        return (yield from _answered(engine, plan, send, replay_delay))
    except CacheNotFoundError:
        return not_cached()
    except PromptCacheError as error:
        if engine.on_error == "raise":
            raise
        engine.log_once("wire", f"a request bypasses the cache: {describe(error)}")
        refused = because("bypass", type(error).__name__)
    upstream = yield send
    body = yield Body(_passed(upstream))
    return Reply(upstream.status, [*forwarded(upstream.headers), *bypassed(refused)], body)


def _answered(engine: Engine, plan: Plan, send: Step, replay_delay: float | None) -> Steps:
    """Return the reply, also where the provider gives none that is an answer."""
    try:
        if plan.asked.stream:
            return (yield from _stream(engine, plan, send, replay_delay))
        return (yield from _whole(engine, plan, send))
    except NoAnswer as error:
        if plan.sent:
            return fresh(error.reply, last_lookup())
        if error.sender == plan.sender or error.reply.status not in _OF_A_KEY:
            return fresh(for_others(error.reply), last_lookup())
    # The provider refused the key of whoever asked first; this caller has another one.
    control = replace(plan.control, no_cache=True)
    alone = replace(plan, settings=replace(plan.settings, control=control))
    return (yield from _answered(engine, alone, send, replay_delay))


def held(engine: Engine, plan: Plan) -> Reply | None:
    """Return the reply to an exact hit that this process holds; None where there is more to do.

    The body is bytes, of a stream too: all its events at once.
    """
    record = engine.held(engine.redacted(plan.request), plan.settings)
    if record is MISS:
        return None
    if not plan.asked.stream:
        body = records.body_of(plan.known, record)
        return None if body is None else _reply(plan, as_json(record), body.encode())
    chunks = WireCodec(plan).chunks(record)
    if chunks is None:
        return None
    return _reply(plan, dict(chunks[0]), "".join(chunks[1:]).encode("utf-8", "surrogateescape"))


async def _is_known(engine: Engine, plan: Plan) -> bool:
    found = await engine.probe(plan.request, plan.settings)
    if plan.asked.stream:
        return found.hit and records.blocks_of(plan.known, found.response, plan.asked) is not None
    return found.hit and records.body_of(plan.known, found.response) is not None


# ------------------------------------------------------------------------------------ whole answers


def _whole(engine: Engine, plan: Plan, send: Step) -> Steps:
    def call() -> Steps:
        return _fetched(plan, send)

    record = yield Ask(engine, plan.request, call, plan.settings, plan.settings.control is None)
    body = records.body_of(plan.known, record)
    if body is None:  # the record of a stream that does not hold enough, such as one without its usage
        settings = replace(plan.settings, control=replace(plan.control, no_cache=True))
        record = yield Ask(engine, plan.request, call, settings)
        body = records.body_of(plan.known, record) or ""
    return _reply(plan, as_json(record), body.encode())


def _fetched(plan: Plan, send: Step) -> Steps:
    """Return the record of a provider's response. Raises NoAnswer for what is no answer."""
    plan.sent = True
    upstream = yield send
    try:
        data = yield from _all_of(Source(lambda: upstream.body))
    finally:
        yield Call(upstream.close)
    record = None
    if upstream.status == 200:
        with contextlib.suppress(UnicodeDecodeError):
            kept, text = records.kept_headers(upstream.headers), data.decode()
            if len(text) > LONG:
                record = yield Apart(lambda: records.of_body(plan.known, kept, text))
            else:
                record = records.of_body(plan.known, kept, text)
    if record is None:
        raise NoAnswer(Reply(upstream.status, forwarded(upstream.headers), data), plan.sender)
    plan.received = forwarded(upstream.headers)
    return record


def _all_of(source: Source) -> Steps:
    parts = []
    following = Next(source)
    while (part := (yield following)) is not END:
        parts.append(part)
    return b"".join(parts)


# ------------------------------------------------------------------------------------ streams


def _stream(engine: Engine, plan: Plan, send: Step, replay_delay: float | None) -> Steps:
    codec = WireCodec(plan)
    given = plan.settings, replay_delay, codec
    source = Source(
        lambda: stream(engine, plan.request, lambda: streamed(_chunks(plan, send, codec)), *given),
        lambda: stream_blocking(engine, plan.request, lambda: streamed_blocking(_chunks(plan, send, codec)), *given),
    )
    head = yield Next(source)
    body = yield Body(_encoded(source))
    return _reply(plan, dict(head), body, _refused_early(engine, plan))


def _refused_early(engine: Engine, plan: Plan) -> str:
    """Return why a stream will not be stored, where that is known when it begins; else ``""``."""
    if not plan.settings.asks.may_store:
        return because("no-store")
    most = engine.options.max_prompt
    if len(plan.request.text) > most:
        return because("too-large", f"prompts of more than {most} characters are not stored")
    return ""


def _chunks(plan: Plan, send: Step, codec: WireCodec) -> Steps:
    """Give a provider's response as chunks: its headers, then its blocks. Raises NoAnswer for what is no answer."""
    plan.sent = True
    upstream = yield send
    source, over = Source(lambda: upstream.body), False
    following = Next(source)
    try:
        if upstream.status != 200:
            data = yield from _all_of(source)
            raise NoAnswer(Reply(upstream.status, forwarded(upstream.headers), data), plan.sender)
        plan.received = forwarded(upstream.headers)
        yield Give((codec.head(upstream.headers),))
        splitter = Splitter(plan.known.framing)
        while (part := (yield following)) is not END:
            for block in splitter.feed(part):
                over = codec.ends(block)
                yield Give((block,))
        for block in splitter.rest():
            yield Give((block,))
    finally:
        with contextlib.suppress(Exception):
            if over:
                yield Drain(source)
        with contextlib.suppress(Exception):  # must not hide why the stream ended
            yield Call(upstream.close)


def _encoded(source: Source) -> Steps:
    """Give the blocks of a stream as bytes."""
    following = Next(source)
    try:
        while (block := (yield following)) is not END:
            yield Give((block.encode("utf-8", "surrogateescape"),))
    finally:
        yield Close(source)


def _passed(upstream: Upstream) -> Steps:
    """Give a provider's body as it comes."""
    following = Next(Source(lambda: upstream.body))
    try:
        while (part := (yield following)) is not END:
            yield Give((part,))
    finally:
        yield Call(upstream.close)


# ------------------------------------------------------------------------------------ the reply


def _reply(plan: Plan, kept: Mapping[str, str], body: Any, refused: str = "") -> Reply:
    """Return the reply to an answered request.

    Args:
        plan: of the request.
        kept: the headers that were stored with the answer.
        body: bytes, or an iterator of bytes.
        refused: why the answer will not be stored, where that is known before its end.
    """
    found = last_lookup()
    if plan.received and (found is None or not found.hit):
        return fresh(Reply(200, plan.received, body), found, refused)
    outcome = "miss" if found is None else found.outcome
    headers = [*kept.items(), ("x-cache", OUTCOMES.get(outcome, "MISS"))]
    if found is not None:
        headers.append((ID_HEADER, found.id))
    if found is not None and found.hit:
        if found.similarity is not None:
            headers.append(("x-cache-similarity", f"{found.similarity:.4f}"))
        headers.append(("age", str(int(found.age or 0))))
    return Reply(200, headers, body)
