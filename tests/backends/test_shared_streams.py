"""Streams under ``single_flight="shared"``: one process reads the source, the others replay what it has stored."""

import asyncio
import threading
import time

import pytest
import redis_servers
from lease_processes import askers, calls_in, wait_until
from test_shared_flight import Two

from semantic_llm_cache.backends import SQLiteBackend

# ------------------------------------------------------------------------------ real processes


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def four(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("askers")
    make = f"SQLiteBackend({str(folder / 'cache.db')!r})"
    if request.param == "redis":
        make = f"RedisBackend({redis_servers.server_url('vectorset')!r}, prefix={redis_servers.own_prefix()!r})"
    with askers(4, make, folder, lease=1.0, seconds=0.3, kind="streams") as found:
        yield found


@pytest.mark.parametrize("prompt", ["one", "plain one"])
def test_ten_streams_in_each_of_four_make_one_call(four, prompt):
    processes, log = four
    for process in processes:
        process.ask(prompt, 10)
    answers = [process.answers() for process in processes]
    (leader,) = calls_in(log, prompt)
    assert answers == [[f"{prompt} by {leader}"]] * 4


@pytest.mark.parametrize("prompt", ["fails", "plain fails"])
def test_a_stream_that_fails_is_followed_by_another(four, prompt):
    processes, log = four
    for process in processes:
        process.ask(prompt, 3)
    assert [process.answers() for process in processes] == [["ValueError"]] * 4
    assert sorted(calls_in(log, prompt)) == sorted(process.pid for process in processes)  # once in each


@pytest.mark.parametrize("prompt", ["killed", "plain killed"])
def test_a_leader_killed_in_the_middle_is_followed_by_another(four, prompt):
    processes, log = four
    alive = [process for process in processes if process.process.poll() is None]
    for process in alive:
        process.ask(prompt, 5)
    wait_until(lambda: calls_in(log, prompt), what="nobody calls")
    dead = next(process for process in alive if process.pid == calls_in(log, prompt)[0])
    time.sleep(0.1)  # it has told its first chunk
    dead.process.kill()
    dead.process.wait()
    alive.remove(dead)
    answers = [process.answers() for process in alive]
    first, second = calls_in(log, prompt)
    assert first == dead.pid
    assert answers == [[f"{prompt} by {second}"]] * len(alive)


# ------------------------------------------------------------------------------ two engines stand for two processes


class Telling(Two):
    """Two engines whose streams are held after the first chunk until told to go on."""

    def __init__(self, make, plain=False, **options):
        super().__init__(make, **options)
        self.go = threading.Event()
        self.error = None
        self.plain = plain
        self.told = [[], []]
        self.tells = [
            engine.cache(self.source(number), on_event=self.told[number].append)
            for number, engine in enumerate(self.engines)
        ]

    def source(self, number):
        if self.plain:

            def tell(prompt: str):
                self.calls.append(number)
                yield "first"
                self.go.wait(10)
                if self.error:
                    raise self.error
                yield "second"

        else:

            async def tell(prompt: str):
                self.calls.append(number)
                yield "first"
                while not self.go.is_set():  # noqa: ASYNC110 - threads wait for it too
                    await asyncio.sleep(0.005)
                if self.error:
                    raise self.error
                yield "second"

        return tell

    def tell(self, number, prompt="p"):
        if not self.plain:
            return self.tells[number](prompt)

        async def steps():
            chunks = self.tells[number](prompt)
            try:
                while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                    yield chunk
            finally:
                chunks.close()

        return steps()

    async def all_of(self, number, prompt="p"):
        return [chunk async for chunk in self.tell(number, prompt)]

    def start(self, number, prompt="p"):
        return asyncio.ensure_future(self.all_of(number, prompt))


@pytest.fixture
def make(tmp_path):
    return lambda: SQLiteBackend(tmp_path / "cache.db")


plain_too = pytest.mark.parametrize("plain", [False, True])


@plain_too
async def test_the_other_one_waits_and_replays(make, plain):
    async with Telling(make, plain) as two:
        first = two.start(0)
        await two.until(1)
        second = two.start(1)
        await asyncio.sleep(0.1)
        two.go.set()
        assert await asyncio.wait_for(asyncio.gather(first, second), 10) == [["first", "second"]] * 2
        assert two.calls == [0]
        assert [(lookup.outcome, lookup.reason, lookup.stored) for lookup in two.told[1]] == [
            ("coalesced", "another process was making the same call", False)
        ]
        assert await two.all_of(1) == ["first", "second"]
        assert two.told[1][-1].outcome == "exact"


@plain_too
async def test_a_leader_that_fails_gives_back_at_once(make, plain):
    async with Telling(make, plain) as two:
        two.error = ValueError("no")
        first = two.start(0)
        await two.until(1)
        second = two.start(1)
        await asyncio.sleep(0.1)
        two.go.set()
        with pytest.raises(ValueError, match="no"):
            await first
        two.error = None
        await asyncio.wait((second,), timeout=10)
        assert two.calls == [0, 1]


@plain_too
async def test_a_leader_whose_readers_leave_gives_back_at_once(make, plain):
    async with Telling(make, plain) as two:
        leading = two.tell(0)
        assert await anext(leading) == "first"
        second = two.start(1)
        await asyncio.sleep(0.1)
        assert two.calls == [0]
        await leading.aclose()
        two.go.set()
        assert await asyncio.wait_for(second, 10) == ["first", "second"]
        assert two.calls == [0, 1]


@plain_too
async def test_readers_who_leave_while_waiting_disturb_nobody(make, plain):
    async with Telling(make, plain) as two:
        first = two.start(0)
        await two.until(1)
        second = two.start(1)
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.wait((second,))
        two.go.set()
        assert await first == ["first", "second"]
        assert await asyncio.wait_for(two.all_of(1), 10) == ["first", "second"]
        assert two.calls == [0]


@plain_too
async def test_a_stream_that_is_not_stored_is_read_by_each(make, plain):
    async with Telling(make, plain, cache_if=lambda chunks: False) as two:
        two.go.set()
        found = await asyncio.wait_for(asyncio.gather(*(two.all_of(n % 2) for n in range(6))), 10)
        assert found == [["first", "second"]] * 6
        assert sorted(set(two.calls)) == [0, 1]
        assert not await two.held(two.told[0][0].key)


async def test_a_plain_stream_whose_reader_pauses_loses_the_lease_and_overwrites_nothing(make):
    async with Telling(make, plain=True, lease=0.3) as two:
        two.go.set()
        slow = two.tell(0)
        assert await anext(slow) == "first"  # and asks for no more for now
        assert await asyncio.wait_for(two.all_of(1), 10) == ["first", "second"]
        assert two.calls == [0, 1]
        assert [chunk async for chunk in slow] == ["second"]
        ((_, entry),) = await two.backends[0].iterate()
        await asyncio.sleep(0.05)
        assert [e.created_at for _, e in await two.backends[1].iterate()] == [entry.created_at]


async def test_a_plain_stream_whose_reader_pauses_and_whom_nobody_followed_is_stored(make):
    async with Telling(make, plain=True, lease=0.1) as two:
        two.go.set()
        slow = two.tell(0)
        await anext(slow)
        await asyncio.sleep(0.4)
        assert [chunk async for chunk in slow] == ["second"]
        assert len(await two.backends[0].iterate()) == 1


async def test_a_replay_is_paced_as_a_hit_is(make):
    async with Telling(make) as two:
        paced = two.engines[1].cache(two.source(1), replay_delay=0.05)
        two.go.set()
        first = two.start(0)
        await two.until(1)
        began = time.monotonic()
        assert [chunk async for chunk in paced("p")] == ["first", "second"]
        assert time.monotonic() - began >= 0.05
        assert await first == ["first", "second"]
        assert two.calls == [0]
