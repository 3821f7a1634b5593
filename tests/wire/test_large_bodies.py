"""Large bodies are read in a thread, so that the event loop goes on."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from semantic_llm_cache.engine.driving import drive
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport
from semantic_llm_cache.wire import Upstream, WireCache
from semantic_llm_cache.wire.large import LONG
from semantic_llm_cache.wire.replies import Plan

URL = "http://provider/v1/embeddings"
CHAT = "http://provider/v1/chat/completions"
TEXTS = [f"text {i}" for i in range(20_000)]


def body(texts: list[str] = TEXTS, **more: Any) -> bytes:
    return json.dumps({"model": "m", "input": texts, **more}).encode()


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Threads take turns every 0.1 ms, so that a loop that is free takes many while a thread works."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


async def turns_during(work: Any) -> tuple[Any, int]:
    """Return the result of `work`, and how often the loop took a turn meanwhile."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0)
    before = turns
    try:
        return await work, turns - before
    finally:
        ticking.cancel()


async def test_a_large_request_is_read_while_the_loop_goes_on() -> None:
    door = WireCache(backend="memory://")
    plan, turns = await turns_during(drive(door.planning("POST", URL, [], body())))
    assert turns > 10
    same = door.plan("POST", URL, [], body())
    assert same is not None
    assert plan.request == same.request
    assert plan.settings.own_tags == ("model:m",)
    _, turns = await turns_during(drive(door.planning("POST", URL, [], body(TEXTS[:100]))))
    assert turns <= 1  # a small one needs no thread


async def test_callables_of_the_user_are_called_in_the_callers_thread() -> None:
    threads = []

    def seen(*_: Any) -> str:
        threads.append(threading.current_thread())
        return "x"

    door = WireCache(backend="memory://", scope=seen, principal=seen)
    assert isinstance(await drive(door.planning("POST", URL, [], body())), Plan)
    assert threads == [threading.current_thread()] * 2


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (body(x=float("nan")), "bypass: NaN is not JSON"),
        (body() + b"x", "bypass: the body is not JSON"),
        (body(["a"] * 400_000), "bypass: the body has more than 320,000 values"),
        (body().replace(b"text 7", b"\xff"), "bypass: the body is not UTF-8"),
    ],
)
async def test_a_large_body_that_bypasses_says_why(sent: bytes, reason: str) -> None:
    door = WireCache(backend="memory://")
    assert await drive(door.planning("POST", URL, [], sent)) == reason
    assert door.plan_or_reason("POST", URL, [], sent) == reason


async def test_who_leaves_while_others_are_read_is_not_read() -> None:
    door = WireCache(backend="memory://")
    tasks = [asyncio.ensure_future(drive(door.planning("POST", URL, [], body(user=str(i))))) for i in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, Plan)
    assert isinstance(second, asyncio.CancelledError)
    assert isinstance(third, Plan)


# ---------------------------------------------------------------------------- answers


def embeddings(count: int) -> bytes:
    data = [{"object": "embedding", "index": i, "embedding": [0.1234567] * 1_000} for i in range(count)]
    return json.dumps({"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 7}}).encode()


@pytest.mark.parametrize("stored", [True, False])
async def test_a_large_answer_is_read_while_the_loop_goes_on(stored: bool) -> None:
    answer, loop_thread, calls = embeddings(200), threading.current_thread(), 0
    fit: list[Any] = []

    async def send() -> Upstream:
        nonlocal calls
        calls += 1

        async def pieces() -> AsyncIterator[bytes]:
            yield answer

        async def close() -> None:
            pass

        return Upstream(200, [("content-type", "application/json")], pieces(), close)

    def cache_if(found: Any) -> bool:
        fit.append(threading.current_thread() is loop_thread)
        return bool(found["data"])

    most = 10_000_000 if stored else 1_000_000
    door = WireCache(backend="memory://", max_response=most, cache_if=cache_if, timeout=20)
    for number in (1, 2):
        plan = door.plan("POST", URL, [], body(["a"]))
        assert plan is not None
        reply, turns = await turns_during(door.answer(plan, send))
        assert reply.body == answer
        # How often the loop gets in between the few pieces of a hit depends on the load of the machine.
        assert turns > (10 if calls == number else 0)
    assert calls == (1 if stored else 2)
    assert fit == ([True] if stored else [])  # one that is too large is not asked about
    wanted = "" if stored else 'no; reason=too-large; detail="answers of more than 1000000 characters are not stored"'
    assert dict(reply.headers).get("x-cache-store", "") == wanted


# ---------------------------------------------------------------------------- clients

PICTURE = "data:image/png;base64," + "QUJD" * LONG
MESSAGES = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]
ANSWER = {
    "id": "1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
}


ASKED = {"model": "m", "messages": MESSAGES}


def answered(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=ANSWER)


async def test_async_clients_are_answered_as_before() -> None:
    transport = AsyncCachingTransport(httpx.MockTransport(answered), backend="memory://")
    async with httpx.AsyncClient(transport=transport) as client:
        assert [(await client.post(CHAT, json=ASKED)).headers["x-cache"] for _ in range(2)] == ["MISS", "HIT"]


def test_plain_clients_are_answered_as_before() -> None:
    with httpx.Client(transport=CachingTransport(httpx.MockTransport(answered), backend="memory://")) as client:
        assert [client.post(CHAT, json=ASKED).headers["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
