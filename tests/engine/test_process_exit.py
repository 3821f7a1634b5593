"""A process that never closes its cache ends at once, with its own status, and has lost nothing."""

import asyncio
import json
import subprocess
import sys

import pytest

from semantic_llm_cache.backends import SQLiteBackend

EXIT = """
    import asyncio, sys
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.backends import SQLiteBackend

    engine = SemanticCache(SQLiteBackend("cache.db"), similarity=float(sys.argv[2]))

    @engine.cache(namespace="exit")
    async def ask(prompt: str):
        return prompt + "!"

    @engine.cache(namespace="exit")
    def plain(prompt: str):
        return prompt + "!"

    async def main():
        await asyncio.gather(*(ask(f"number {n}") for n in range(50)))
        for _ in range(10):
            await ask("number 1")
        plain("number 1")
        plain("plain")

    asyncio.run(main())
    how = sys.argv[1]
    if how == "status":
        sys.exit(7)
    if how == "error":
        raise RuntimeError("the script's own error")
    if how == "loop":
        ask_later = asyncio.new_event_loop()
        ask_later.run_until_complete(ask("number 2"))
        ask_later.close()
"""


def read(path):
    async def everything():
        async with SQLiteBackend(path) as backend:
            return dict(await backend.iterate()), await backend.get_counters()

    return asyncio.run(everything())


@pytest.mark.parametrize(
    ("how", "expected", "similarity"),
    [("end", 0, "1.0"), ("end", 0, "0.95"), ("status", 7, "1.0"), ("error", 1, "1.0"), ("loop", 0, "1.0")],
)
def test_a_script_that_ends_without_close(how, expected, similarity, script, tmp_path):
    status, _, err, _ = script(EXIT, how, similarity)
    assert status == expected, err
    assert ("own error" in err) == (how == "error")
    if how != "error":
        assert err == ""
    entries, counters = read(tmp_path / "cache.db")
    assert sorted(entry.prompt for entry in entries.values()) == sorted([*(f"number {n}" for n in range(50)), "plain"])
    more = how == "loop"
    sums = counters["exit"]
    assert sums["hits"] == 11 + more
    assert sums["exact_hits"] == 11 + more
    assert sums["misses"] == 51
    assert sums["saved_usd"] > 0
    assert sum(entry.hit_count for entry in entries.values()) == 11 + more
    (asked,) = [entry for entry in entries.values() if entry.prompt == "number 1"]
    assert asked.hit_count == 11
    assert asked.last_accessed is not None
    shown = subprocess.run(
        [sys.executable, "-m", "semantic_llm_cache", "stats", "--db", str(tmp_path / "cache.db"), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert str(11 + more) in shown.stdout
    json.loads(shown.stdout)


ENDS_AT_ONCE = """
    import atexit, sys, time

    began = []
    # Registered before everything of ours, so called after it all.
    atexit.register(lambda: print(time.perf_counter() - began[0]))

    import asyncio, threading
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.backends import SQLiteBackend, MemoryBackend

    class Hangs(MemoryBackend):
        in_process = False

        async def add_counters(self, namespace, counters):
            await asyncio.Event().wait()

    def use(backend):
        engine = SemanticCache(backend)

        @engine.cache()
        def ask(prompt: str):
            return prompt

        ask("x")
        ask("x")
        return engine

    engines = [use(SQLiteBackend("cache.db")), use(MemoryBackend()), *(use(Hangs()) for _ in range(4))]
    began.append(time.perf_counter())
"""


def test_a_process_does_not_wait_for_storage_that_hangs(script, tmp_path):
    status, out, err, _ = script(ENDS_AT_ONCE)
    assert (status, err) == (0, "")
    # The limit of the wait is half a second for all of them together: no race, a wide margin.
    assert float(out) < 5
    _, counters = read(tmp_path / "cache.db")
    assert counters["default"]["hits"] == 1


FORGOTTEN = """
    import gc
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.backends import SQLiteBackend

    def use():
        engine = SemanticCache(SQLiteBackend("cache.db"))

        @engine.cache()
        def ask(prompt: str):
            return prompt

        ask("x"); ask("x"); ask("x")

    for _ in range(3):
        use()
        gc.collect()
"""


def test_counters_of_a_cache_that_was_forgotten(script, tmp_path):
    status, _, err, _ = script(FORGOTTEN)
    assert (status, err) == (0, "")
    entries, counters = read(tmp_path / "cache.db")
    assert len(entries) == 1
    assert counters["default"]["hits"] + counters["default"]["misses"] == 9
    assert counters["default"]["misses"] == 1


RETRIED = """
    import asyncio
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.backends import SQLiteBackend
    from semantic_llm_cache.engine.state import state_of

    backend = SQLiteBackend("cache.db")
    engine = SemanticCache(backend)
    write, failures = backend.add_counters, []

    async def fail(*args):
        failures.append(args)
        raise OSError("busy")

    @engine.cache()
    def ask(prompt: str):
        return prompt

    ask("x"); ask("x")
    backend.add_counters = fail
    asyncio.run(state_of(backend).flush())
    assert failures
    backend.add_counters = write
    ask("x")
"""


def test_counters_that_could_not_be_written_are_written_later(script, tmp_path):
    status, _, err, _ = script(RETRIED)
    assert (status, err) == (0, "")
    _, counters = read(tmp_path / "cache.db")
    assert (counters["default"]["hits"], counters["default"]["misses"]) == (2, 1)


async def test_counters_are_seen_by_another_process_while_this_one_runs(tmp_path):
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.engine.state import state_of

    backend = SQLiteBackend(tmp_path / "cache.db")
    engine = SemanticCache(backend, namespace="both")

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for round in (1, 2):
        await ask("x")
        await ask("x")
        await state_of(backend).flush()
        assert (await SQLiteBackend(tmp_path / "cache.db").get_counters())["both"]["hits"] == 2 * round - 1
    await engine.close()
