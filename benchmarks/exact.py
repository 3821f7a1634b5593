"""Exact hits: against cashews in the same process, a dict, functools' lru_cache, and one hop to sqlite3.

cashews is what is common in async Python for caching by arguments: its decorator on its in-memory
backend, as its readme sets it up. It hands out the stored object itself, so answers that are
lists or dicts (ours are private copies) are shown on a line of their own, without a target.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.data import ANSWER, question
from benchmarks.harness import Bench, Contender, at_most
from benchmarks.peers import CASHEWS, PeerUnavailable, importable
from benchmarks.workers.protocol import versions
from semantic_llm_cache import cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend

PROMPT = "How do I reset the password of my account?"
SETTINGS: dict[str, Any] = {"model": "small", "temperature": 0.2, "max_tokens": 400}
ROUNDS = 31
CALLS = 3000
DETAILS = {"choices": [{"text": ANSWER, "index": 0}], "usage": {"input": 12, "output": 230}}

Decorator = Callable[[Any], Any]


class _Cases:
    """The functions, decorated by one side."""

    def __init__(self, decorate: Decorator) -> None:
        @decorate
        async def ask(prompt: str) -> str:
            return ANSWER

        @decorate
        async def ask_with(prompt: str, *, model: str, temperature: float, max_tokens: int) -> str:
            return ANSWER

        @decorate
        async def ask_for_details(prompt: str) -> dict[str, Any]:
            return DETAILS

        self.positional: Callable[[Any], Awaitable[object]] = ask
        self.keywords: Callable[[Any], Awaitable[object]] = lambda prompt: ask_with(prompt, **SETTINGS)
        self.details: Callable[[Any], Awaitable[object]] = ask_for_details


def _bot(decorate: Decorator) -> Any:
    class Bot:
        def __init__(self, system: str) -> None:
            self.system = system

        @decorate
        async def ask(self, prompt: str) -> str:
            return ANSWER

    Bot.__qualname__ = f"Bot_{id(decorate)}"
    return Bot("You are helpful.")


def run(bench: Bench) -> None:
    """Measure exact hits in memory and on SQLite."""
    _memory(bench)
    _sqlite(bench)


def _memory(bench: Bench) -> None:
    ours = cache(backend=MemoryBackend(), ttl="1h")
    cases, bot = _Cases(ours), _bot(ours)
    races: dict[str, list[Contender]] = {
        "one positional prompt": [bench.awaits("ours", cases.positional, [PROMPT], CALLS)],
        "three keyword arguments": [bench.awaits("ours", cases.keywords, [PROMPT], CALLS)],
        "a method": [bench.awaits("ours", bot.ask, [PROMPT], CALLS)],
        "an answer that is a dict": [bench.awaits("ours", cases.details, [PROMPT], CALLS)],
    }

    @cache(backend=MemoryBackend(), ttl="1h")
    def plain(prompt: str) -> str:
        return ANSWER

    kept = {PROMPT: ANSWER}

    async def from_dict(prompt: str) -> str:
        return kept[prompt]

    @functools.lru_cache
    def remembered(prompt: str) -> str:
        return ANSWER

    races["one positional prompt"].append(bench.awaits("dict, in an async function", from_dict, [PROMPT], CALLS))
    races["a plain function"] = [
        bench.calls("ours", plain, [PROMPT], CALLS),
        bench.calls("functools.lru_cache", remembered, [PROMPT], CALLS),
    ]
    targets = {
        "one positional prompt": at_most(0.15),
        "three keyword arguments": at_most(0.25),
        "a method": at_most(0.25),
        "an answer that is a dict": at_most(0.2),
    }

    def measure() -> None:
        for what, contenders in races.items():
            bench.say(what)
            times = bench.interleave(contenders, ROUNDS)
            for other in list(times)[1:]:
                bench.ratio(f"memory, {what}", times, "ours", other, targets.get(what) if other == "cashews" else None)

    if not bench.peers:
        bench.missing("cashews", "peers were left out (--no-peers)")
        measure()
        return
    try:
        with importable("cashews", CASHEWS):
            import cashews

            bench.versions["cashews (in this process)"] = versions("cashews")
            store = cashews.Cache()
            store.setup("mem://")
            theirs = store(ttl="1h")
            other_cases, other_bot = _Cases(theirs), _bot(theirs)
            for what, call in (
                ("one positional prompt", other_cases.positional),
                ("three keyword arguments", other_cases.keywords),
                ("a method", other_bot.ask),
                ("an answer that is a dict", other_cases.details),
            ):
                races[what].append(bench.awaits("cashews", call, [PROMPT], CALLS))
            measure()
            bench.run(store.close())
    except (PeerUnavailable, ImportError) as error:
        bench.missing(" ".join(CASHEWS), str(error))
        measure()


def _sqlite(bench: Bench) -> None:
    with bench.temporary() as folder:
        path = folder / "exact.db"
        backend, fronted = SQLiteBackend(path, front_size=0), SQLiteBackend(path)
        prompts = [question(i) for i in range(bench.size(2000, 50))]

        @cache(backend=backend, ttl="1h")
        async def ask(prompt: str) -> str:
            return ANSWER

        @cache(backend=fronted, ttl="1h")
        async def ask_again(prompt: str) -> str:
            return ANSWER

        bench.run(ask_again(PROMPT))

        async def fill() -> None:
            await asyncio.gather(*(ask(prompt) for prompt in prompts))

        bench.run(fill())
        reader = sqlite3.connect(path, check_same_thread=False)
        keys = [key for (key,) in reader.execute("SELECT key FROM entries")]
        pool = ThreadPoolExecutor(1)
        query = "SELECT * FROM entries WHERE key = ?"

        def read(key: str) -> Any:
            return reader.execute(query, (key,)).fetchone()

        def hop(key: str) -> Awaitable[Any]:
            return bench.loop.run_in_executor(pool, read, key)

        bench.say("SQLite")
        times = bench.interleave(
            [
                bench.awaits("ours", ask, prompts, 400),
                bench.awaits("ours, repeated", ask_again, [PROMPT], 400),
                bench.awaits("backend.get", backend.get, keys, 400),
                bench.awaits("sqlite3 by one executor hop", hop, keys, 400),
                bench.calls("sqlite3 in this thread", read, keys, 400),
            ],
            ROUNDS,
        )
        bench.ratio("SQLite, no front, decorated", times, "ours", "sqlite3 by one executor hop", at_most(2))
        bench.ratio("SQLite, repeated, with a front", times, "ours, repeated", "sqlite3 by one executor hop")
        bench.ratio("SQLite, backend.get", times, "backend.get", "sqlite3 by one executor hop")
        bench.ratio("SQLite, no front, decorated", times, "ours", "sqlite3 in this thread")
        pool.shutdown()
        reader.close()
        bench.run(backend.close())
        bench.run(fronted.close())
