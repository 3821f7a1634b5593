"""Exact hits and missed streams through the openai client, against the bare client.

Both have a transport in memory that answers at once, so that what is timed is the client's own work and ours. A hit
is held against the bare call plus the lookup that it needs: the engine asked for the same request, which is timed
beside it. One prompt is repeated; or there are many, fewer and more than the table of requests read lately holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.data import ANSWER, question
from benchmarks.harness import Bench, Figure, Times, at_most
from semantic_llm_cache.integrations._carrier import carrier_of
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport
from semantic_llm_cache.wire import WireCache

URL = "http://provider/v1"
MODEL: dict[str, Any] = {"model": "small", "temperature": 0.2, "max_tokens": 400}
SYSTEM = {"role": "system", "content": "You are a helpful assistant who answers in two sentences."}
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "small",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 230, "total_tokens": 242},
}
ROUNDS = 15
CALLS = 100


def _body(text: str) -> dict[str, Any]:
    return {**MODEL, "messages": [SYSTEM, {"role": "user", "content": text}]}


def _events() -> list[bytes]:
    base = {k: WHOLE[k] for k in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    words = [f"{word} " for word in ANSWER.split()]
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words), {}]
    told = []
    for place, delta in enumerate(deltas):
        end = "stop" if place == len(deltas) - 1 else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        told.append(b"data: " + json.dumps({**base, "choices": [choice]}).encode() + b"\n\n")
    return [*told, b"data: [DONE]\n\n"]


def _transports(httpx: Any) -> tuple[Any, Any]:
    """Return transports, async and plain, that answer at once; requests for streams with events."""
    whole, events = json.dumps(WHOLE).encode(), _events()
    json_type, sse = {"content-type": "application/json"}, {"content-type": "text/event-stream; charset=utf-8"}

    class Told(httpx.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for event in events:
                yield event

    class Async(httpx.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            if b'"stream":true' in await request.aread():
                return httpx.Response(200, headers=sse, stream=Told(), request=request)
            return httpx.Response(200, headers=json_type, content=whole, request=request)

    class Plain(httpx.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            request.read()
            return httpx.Response(200, headers=json_type, content=whole, request=request)

    return Async(), Plain()


def run(bench: Bench) -> None:
    """Measure hits, async and plain, then the first chunk of streams."""
    import httpx2
    import openai

    async_, plain = _transports(httpx2)
    many = [question(i) for i in range(bench.size(5500, 66))]
    some, new = many[: len(many) // 11], many[len(many) // 11 :]

    def client(transport: Any) -> Any:
        http = openai.DefaultAsyncHttpxClient(transport=transport)
        return openai.AsyncOpenAI(api_key="k", base_url=URL, http_client=http)

    def plain_client(transport: Any) -> Any:
        http = openai.DefaultHttpxClient(transport=transport)
        return openai.OpenAI(api_key="k", base_url=URL, http_client=http)

    caching = AsyncCachingTransport(async_, backend="memory://", ttl="1h")
    plain_caching = CachingTransport(plain, backend="memory://", ttl="1h")
    opened, bare = client(caching), client(async_)
    opened_plain, bare_plain = plain_client(plain_caching), plain_client(plain)

    async def ask(by: Any, text: str) -> Any:
        return await by.chat.completions.create(**_body(text))

    def ask_plainly(by: Any, text: str) -> Any:
        return by.chat.completions.create(**_body(text))

    lookup, planned = _lookup(caching.door), _planned(caching.door, async_, many)

    async def fill() -> None:
        for text in (*many, *some):
            await ask(opened, text)

    bench.run(fill())
    ask_plainly(opened_plain, many[0])
    bench.say("hits")
    times = bench.interleave(
        [
            bench.awaits("bare", lambda text: ask(bare, text), many[:1], CALLS),
            bench.awaits("bares", lambda text: ask(bare, text), many, CALLS),
            bench.awaits("hit", lambda text: ask(opened, text), many[:1], CALLS),
            bench.awaits("hits", lambda text: ask(opened, text), some, CALLS),
            bench.awaits("new hits", lambda text: ask(opened, text), new, CALLS),
            bench.awaits("lookup", lookup, planned[:1], CALLS),
            bench.awaits("lookups", lookup, planned, CALLS),
            bench.calls("bare plain", lambda text: ask_plainly(bare_plain, text), many[:1], CALLS),
            bench.calls("hit plain", lambda text: ask_plainly(opened_plain, text), many[:1], CALLS),
        ],
        ROUNDS,
    )
    _beside(bench, times, "exact hit, one prompt", "hit", "bare", "lookup")
    _beside(bench, times, f"exact hits, {len(some):,} prompts in turn", "hits", "bares", "lookups")
    _beside(bench, times, f"exact hits, {len(new):,} prompts in turn", "new hits", "bares", "lookups", target=False)
    _beside(bench, times, "exact hit, plain client", "hit plain", "bare plain", "lookup")
    bench.value("lookup alone: the engine asked for the same request", median(times["lookup"]), "s")
    _first_chunks(bench, client, async_, caching.door)
    for made in (opened, bare):
        bench.run(made.close())
    opened_plain.close()
    bare_plain.close()


def _planned(door: WireCache, transport: Any, texts: Sequence[str]) -> list[Any]:
    headers = [("authorization", "Bearer k"), ("content-type", "application/json")]
    url = f"{URL}/chat/completions"
    carrier = carrier_of(transport, door)
    return [door.plan("POST", url, headers, json.dumps(_body(text)).encode(), carrier=carrier) for text in texts]


def _lookup(door: WireCache) -> Any:
    def never() -> Any:
        raise AssertionError("must be a hit")

    async def lookup(plan: Any) -> Any:
        return await door.engine.get_or_call(plan.request, never, settings=plan.settings)

    return lookup


def _beside(bench: Bench, times: Times, what: str, ours: str, bare: str, lookup: str, target: bool = True) -> Figure:
    """Add the line of a hit: the ratio is of the hit without its lookup to the bare call."""
    rest = {
        ours: [a - b for a, b in zip(times[ours], times[lookup], strict=True)],
        bare: times[bare],
    }
    note = f"{median(times[ours]) * 1e6:.0f} us with the lookup of {median(times[lookup]) * 1e6:.0f} us"
    return bench.ratio(f"{what}, less the lookup", rest, ours, bare, at_most(1.15) if target else None, note=note)


def _first_chunks(bench: Bench, client: Any, transport: Any, door: WireCache) -> None:
    """Measure from the call to the first chunk, of streams that are not in the cache."""
    bench.say("first chunks")
    supply = (f"{question(i)} (asked as number {i})" for i in itertools.count())
    opened, bare = client(AsyncCachingTransport(transport, door=door)), client(transport)
    delays: Times = {"bare": [], "missed": []}

    async def first(by: Any, text: str) -> float:
        began = perf_counter()
        stream = await by.chat.completions.create(**_body(text), stream=True)
        parts = aiter(stream)
        await anext(parts)
        took = perf_counter() - began
        async for _ in parts:
            pass
        return took

    async def measure() -> None:
        for number in range(bench.size(ROUNDS, 2) + 1):
            turns: Iterator[tuple[str, Any]] = iter([("bare", bare), ("missed", opened)][:: 1 if number % 2 else -1])
            for name, by in turns:
                found = [await first(by, next(supply)) for _ in range(bench.size(20, 2))]
                if number:
                    delays[name].append(median(found))
            await asyncio.sleep(0)

    bench.run(measure())
    extra = median(a - b for a, b in zip(delays["missed"], delays["bare"], strict=True))
    bench.value(
        "first chunk of a missed stream, later than bare", extra, "s", at_most(0.002, "s"),
        note=f"bare {median(delays['bare']) * 1e6:.0f} us, through the cache {median(delays['missed']) * 1e6:.0f} us",
    )  # fmt: skip
    with contextlib.suppress(RuntimeError):
        bench.run(opened.close())
        bench.run(bare.close())
