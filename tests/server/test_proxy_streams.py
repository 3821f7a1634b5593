"""Streams through the proxy: who leaves, who stays, what breaks, what is slow."""

import asyncio
import json
import socket
import threading
import time

import httpx
import pytest
from proxy_server import proxy
from wire_provider import provider

CHAT = "/v1/chat/completions"


def asked(text, stream=True):
    return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}


def request(text, stream=True):
    body = json.dumps(asked(text, stream)).encode()
    head = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (CHAT.encode(), len(body)) + body


async def lines_of(client, url, text):
    async with client.stream("POST", f"{url}{CHAT}", json=asked(text)) as reply:
        return reply.headers["x-cache"], [line async for line in reply.aiter_lines() if line]


def opened(running, text, stream=True):
    """Open a connection, ask, and return the connection without reading."""
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=5)
    connection.sendall(request(text, stream))
    return connection


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


async def test_the_first_events_arrive_before_the_last_are_made(shared, server):
    server.gate = threading.Event()
    async with httpx.AsyncClient() as client:
        reply = await client.send(client.build_request("POST", f"{shared.url}{CHAT}", json=asked("early")), stream=True)
        lines = reply.aiter_lines()
        assert (await anext(lines)).startswith("data: ")
        server.gate.set()
        rest = [line async for line in lines if line]
    assert rest[-1] == "data: [DONE]"


async def test_one_who_leaves_does_not_stop_the_stream_of_another(shared, server):
    server.gate = threading.Event()
    async with httpx.AsyncClient() as client:
        leaving = opened(shared, "shared stream")
        await asyncio.to_thread(server.arrived.wait, 5)
        made = client.build_request("POST", f"{shared.url}{CHAT}", json=asked("shared stream"))
        staying = await client.send(made, stream=True)
        leaving.close()
        await asyncio.sleep(0.1)
        server.gate.set()
        lines = [line async for line in staying.aiter_lines() if line]
        assert (staying.headers["x-cache"], lines[-1]) == ("COALESCED", "data: [DONE]")
        assert (await lines_of(client, shared.url, "shared stream"))[0] == "HIT"
    assert server.calls == 1


async def test_one_who_leaves_does_not_stop_the_call_of_another(shared, server):
    server.gate = threading.Event()
    async with httpx.AsyncClient() as client:
        leaving = opened(shared, "shared call", stream=False)
        await asyncio.to_thread(server.arrived.wait, 5)
        body = asked("shared call", stream=False)
        staying = asyncio.create_task(client.post(f"{shared.url}{CHAT}", json=body))
        await asyncio.to_thread(wait_for, lambda: len(shared.server.server_state.tasks) == 2)
        await asyncio.sleep(0.1)
        leaving.close()
        await asyncio.sleep(0.1)
        server.gate.set()
        reply = await staying
    assert (reply.status_code, reply.headers["x-cache"]) == (200, "COALESCED")
    assert reply.headers["cache-status"] == "semantic-llm-cache; fwd=miss; collapsed"
    assert server.calls == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_when_all_have_left_the_upstream_is_left_too_and_nothing_is_stored(shared, server, stream):
    server.gate = threading.Event()
    text = f"left alone {stream}"
    server.arrived.clear()
    leaving = opened(shared, text, stream)
    await asyncio.to_thread(server.arrived.wait, 5)
    leaving.close()
    await asyncio.sleep(0.2)
    server.gate.set()
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"{shared.url}{CHAT}", json=asked(text, stream))
        assert reply.headers["x-cache"] == "MISS"
    assert server.calls == 2


def test_a_stream_that_the_upstream_breaks_off_is_broken_off_and_not_stored(shared, server):
    server.cut = 3
    for _ in range(2):
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", f"{shared.url}{CHAT}", json=asked("broken")) as reply,
        ):
            assert reply.status_code == 200
            list(reply.iter_lines())
    assert server.calls == 2
    assert httpx.get(f"{shared.url}/healthz").status_code == 200


async def test_a_stored_answer_is_replayed_in_the_form_that_is_asked_for(shared, server):
    async with httpx.AsyncClient() as client:
        whole = await client.post(f"{shared.url}{CHAT}", json=asked("both forms", stream=False))
        async with client.stream("POST", f"{shared.url}{CHAT}", json=asked("both forms")) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            assert reply.headers["transfer-encoding"] == "chunked"
            assert "content-length" not in reply.headers
            events = [line async for line in reply.aiter_lines() if line.startswith("data: {")]
    words = "".join(json.loads(event[6:])["choices"][0]["delta"].get("content") or "" for event in events)
    assert words == whole.json()["choices"][0]["message"]["content"]
    assert server.calls == 1


async def test_a_delay_between_replayed_events_is_kept(server):
    with proxy(server.url, replay_delay=0.02) as running:
        async with httpx.AsyncClient() as client:
            await lines_of(client, running.url, "slowly")
            began = time.monotonic()
            outcome, lines = await lines_of(client, running.url, "slowly")
    assert outcome == "HIT"
    assert time.monotonic() - began > 0.02 * (len(lines) - 2)


def test_a_client_that_stops_reading_is_held_back_and_then_dropped():
    with provider() as server:
        server.raw = b"data: " + b"x" * 100_000 + b"\n\n"
        server.raw *= 200
        with proxy(server.url, client_timeout=0.3) as running:
            with opened(running, "too much"):
                wait_for(lambda: running.server.server_state.connections)
                wait_for(lambda: not running.server.server_state.connections)
            assert httpx.get(f"{running.url}/healthz").status_code == 200


async def test_shutdown_waits_for_streams_under_way(server):
    server.gate = threading.Event()
    with proxy(server.url) as running:
        async with httpx.AsyncClient() as client:
            reading = asyncio.create_task(lines_of(client, running.url, "draining"))
            await asyncio.to_thread(server.arrived.wait, 5)
            await asyncio.sleep(0.05)
            running.server.should_exit = True
            await asyncio.sleep(0.3)
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", running.port), timeout=1)
            server.gate.set()
            assert (await reading)[1][-1] == "data: [DONE]"
