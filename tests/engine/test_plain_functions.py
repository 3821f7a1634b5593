"""Plain functions: without a loop, inside a running loop's thread, from many threads, and mixed with tasks."""

import asyncio
import threading

import pytest
from engine_helpers import LIMIT, FaultyBackend, gathered, in_threads, limited, until

from semantic_llm_cache import CacheContext, SemanticCache, last_lookup
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.exceptions import CacheReentryError, CacheWarning


class Slow:
    """A plain function that answers when it is let go, and counts its calls."""

    def __init__(self, answer="answer"):
        self.calls = 0
        self.started = threading.Event()
        self.go = threading.Event()
        self.answer = answer

    def __call__(self, *args):
        self.calls += 1
        self.started.set()
        assert self.go.wait(LIMIT)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("semantic-llm-cache")]


@pytest.fixture(params=["memory", "sqlite"])
def engine(request, tmp_path):
    backend = SQLiteBackend(tmp_path / "cache.db") if request.param == "sqlite" else "memory://"
    return SemanticCache(backend)


def test_many_threads_at_once_run_the_function_once(engine):
    slow = Slow()

    @engine.cache()
    def ask(prompt: str):
        return slow(prompt)

    release = threading.Timer(0.2, slow.go.set)
    release.start()
    assert in_threads(*[lambda: ask("x")] * 20) == ["answer"] * 20
    assert slow.calls == 1
    assert ask("x") == "answer"
    assert slow.calls == 1


def test_a_failure_reaches_every_thread_unchanged_and_is_not_cached(engine):
    error = LookupError("gone")
    slow = Slow(error)

    @engine.cache()
    def ask(prompt: str):
        return slow(prompt)

    threading.Timer(0.2, slow.go.set).start()
    found = in_threads(*[lambda: ask("x")] * 5)
    assert [item is error for item in found] == [True] * 5
    slow.answer = "well"
    assert ask("x") == "well"
    assert slow.calls == 2


def test_an_interrupt_reaches_the_one_who_called_and_another_asks_anew(engine):
    slow = Slow(KeyboardInterrupt())

    @engine.cache()
    def ask(prompt: str):
        return slow(prompt)

    def first():
        return ask("x")

    def second():
        assert slow.started.wait(LIMIT)
        return ask("x")

    def release():
        assert slow.started.wait(LIMIT)
        threading.Event().wait(0.1)
        slow.go.set()
        while slow.calls < 2:
            threading.Event().wait(0.001)

    one, two, _ = in_threads(first, second, release)
    assert isinstance(one, KeyboardInterrupt)
    assert isinstance(two, KeyboardInterrupt), "its own call, interrupted as well"
    assert slow.calls == 2


async def test_inside_a_running_loops_thread(engine):
    @engine.cache()
    def ask(prompt: str):
        return prompt.upper()

    assert ask("a") == "A"
    assert ask("a") == "A"
    info = ask.cache_info()
    assert (info.misses, info.exact_hits) == (1, 1)
    assert ask.cache_lookup("a").outcome == "exact"


async def test_near_hits_of_plain_functions():
    engine = SemanticCache("memory://", similarity=0.95)

    @engine.cache()
    def ask(prompt: str):
        return prompt.upper()

    assert ask("What is Python?") == "WHAT IS PYTHON?"
    assert ask("What's Python?") == "WHAT IS PYTHON?"
    assert last_lookup().outcome == "near"
    found = await asyncio.gather(*(asyncio.to_thread(ask, "What is Python, exactly?") for _ in range(4)))
    assert len(set(found)) == 1


def test_a_hit_in_memory_needs_no_other_thread():
    engine = SemanticCache("memory://")

    @engine.cache()
    def ask(prompt: str):
        return [prompt]

    before = ours()
    ask("x")
    ask("x")
    with CacheContext(ttl=5) as context:
        assert ask("x") == ["x"]
        ask("another")
    assert context.stats["exact_hits"] == 1
    assert ours() == before


def test_a_hit_in_memory_needs_no_other_thread_with_near_matching_in_a_context():
    engine = SemanticCache("memory://", similarity=0.95, embedder="dummy")

    @engine.cache()
    def ask(prompt: str):
        return [prompt]

    ask("x")
    starts = []
    original = threading.Thread.start
    hops = []

    def count(self):
        starts.append(self.name)
        original(self)

    from semantic_llm_cache.runtime import background

    run = background.run
    with pytest.MonkeyPatch.context() as patch, CacheContext() as context:
        patch.setattr(threading.Thread, "start", count)
        patch.setattr(background, "run", lambda coroutine: hops.append(1) or run(coroutine))
        assert ask("x") == ["x"]
    assert context.lookups[0].outcome == "exact"
    assert (starts, hops) == ([], [])


def test_across_threads_calls_that_ask_for_each_other_are_told():
    engine = SemanticCache("memory://")
    met = threading.Barrier(2, timeout=LIMIT)

    @engine.cache()
    def a(prompt: str):
        met.wait()
        return b(prompt)

    @engine.cache()
    def b(prompt: str):
        met.wait()
        return a(prompt)

    found = in_threads(lambda: a("x"), lambda: b("x"))
    assert {type(item) for item in found} == {CacheReentryError}


def test_a_plain_call_that_asks_for_itself_is_told(engine):
    @engine.cache()
    def ask(prompt: str):
        return ask(prompt)

    (found,) = in_threads(lambda: ask("x"))
    assert isinstance(found, CacheReentryError)
    (found,) = in_threads(lambda: ask("y"))
    assert isinstance(found, CacheReentryError)


async def test_a_plain_call_never_waits_for_its_own_loop():
    engine = SemanticCache("memory://", namespace="team")
    go = asyncio.Event()

    @engine.cache(namespace="team")
    async def slow(prompt: str):
        await go.wait()
        return "from the task"

    @engine.cache(namespace="team")
    def quick(prompt: str):
        return "by itself"

    task = asyncio.create_task(slow("x"))
    await asyncio.sleep(0.01)
    assert quick("x") == "by itself", "waiting here would stop the loop that the task needs"
    go.set()
    assert await limited(task) == "from the task"
    info = quick.cache_info()
    assert (info.misses, info.hits) == (1, 0)


async def test_tasks_and_threads_wait_for_each_other():
    engine = SemanticCache("memory://", namespace="team")
    slow, calls = Slow("from a thread"), []

    @engine.cache(namespace="team")
    def plain(prompt: str):
        calls.append("plain")
        return slow(prompt)

    @engine.cache(namespace="team")
    async def task(prompt: str):
        calls.append("task")
        return "from a task"

    first = asyncio.create_task(asyncio.to_thread(plain, "x"))
    await asyncio.to_thread(slow.started.wait, LIMIT)
    others = [asyncio.create_task(task("x")) for _ in range(5)]
    others += [asyncio.create_task(asyncio.to_thread(plain, "x")) for _ in range(3)]
    await asyncio.sleep(0.05)
    slow.go.set()
    assert await gathered([first, *others]) == ["from a thread"] * 9
    assert calls == ["plain"]


async def test_threads_wait_for_a_task():
    engine = SemanticCache("memory://", namespace="team")
    go, calls = asyncio.Event(), []

    @engine.cache(namespace="team")
    def plain(prompt: str):
        calls.append("plain")
        return "from a thread"

    @engine.cache(namespace="team")
    async def task(prompt: str):
        calls.append("task")
        await go.wait()
        return ["from a task"]

    first = asyncio.create_task(task("x"))
    await until(lambda: calls)
    others = [asyncio.create_task(asyncio.to_thread(plain, "x")) for _ in range(3)]
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0.05)
    go.set()
    found = await gathered(others)
    assert found == [["from a task"]] * 3
    assert len({id(item) for item in found}) == 3
    assert calls == ["task"]


async def test_an_answer_that_cannot_be_stored_with_threads_waiting():
    engine = SemanticCache("memory://")
    calls, barrier = [], threading.Barrier(3, timeout=LIMIT)

    @engine.cache()
    def ask(prompt: str):
        calls.append(prompt)
        threading.Event().wait(0.1)
        return (n for n in (1, 2))

    def one():
        barrier.wait()
        return list(ask("x"))

    with pytest.warns(CacheWarning, match="uncached"):
        found = await asyncio.to_thread(in_threads, one, one, one)
    assert found == [[1, 2]] * 3
    assert len(calls) == 3


def test_what_decides_about_a_fresh_answer_runs_in_the_callers_thread(tmp_path):
    engine = SemanticCache(SQLiteBackend(tmp_path / "cache.db"))
    where = []

    @engine.cache()
    def judge(prompt: str):
        return len(prompt) > 3

    def keep(answer):
        where.append(threading.current_thread())
        return judge(answer)  # a plain cached function itself

    @engine.cache(cache_if=keep)
    def ask(prompt: str):
        return prompt

    assert ask("long enough") == "long enough"
    assert ask("no") == "no"
    assert ask.cache_lookup("long enough").hit
    assert not ask.cache_lookup("no").hit
    assert where == [threading.current_thread()] * 2


# ------------------------------------------------------------------ loops that end


def loop_in_thread():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    return loop, thread


def abandon(loop, thread, close):
    """Stop a loop with its tasks still pending, as programs do that know no better."""
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LIMIT)
    if close:
        loop.close()


def finish(loop):
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


@pytest.mark.parametrize("close", [True, False])
async def test_the_end_of_another_loop_strands_nobody(close):
    engine = SemanticCache("memory://", namespace="team")
    calls = []

    @engine.cache(namespace="team")
    async def ask(prompt: str):
        calls.append(asyncio.get_running_loop())
        if len(calls) == 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        return "answer"

    @engine.cache(namespace="team")
    def plain(prompt: str):
        return "answer"

    loop, thread = loop_in_thread()
    future = asyncio.run_coroutine_threadsafe(ask("x"), loop)
    await until(lambda: calls)
    waiting = [asyncio.create_task(ask("x")) for _ in range(3)]
    waiting += [asyncio.create_task(asyncio.to_thread(plain, "x")) for _ in range(2)]
    await asyncio.sleep(0.05)
    await asyncio.to_thread(abandon, loop, thread, close)
    late = asyncio.create_task(ask("x"))
    assert await gathered([*waiting, late]) == ["answer"] * 6
    assert len(calls) <= 2
    del future
    if not close:
        await asyncio.to_thread(finish, loop)


def test_a_call_left_in_a_closed_loop_does_not_block_its_key():
    engine = SemanticCache("memory://")
    calls = []

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        if len(calls) == 1:
            await asyncio.sleep(3600)
        return "answer"

    loop = asyncio.new_event_loop()
    task = loop.create_task(ask("x"))
    loop.run_until_complete(asyncio.sleep(0.01))
    task._log_destroy_pending = False
    for other in asyncio.all_tasks(loop):
        other._log_destroy_pending = False
    loop.close()
    assert asyncio.run(limited(ask("x"))) == "answer"
    assert len(calls) == 2


def test_a_waiter_whose_own_loop_is_gone_disturbs_nobody():
    engine = SemanticCache("memory://")
    slow = Slow()

    @engine.cache(namespace="team")
    def plain(prompt: str):
        return slow(prompt)

    @engine.cache(namespace="team")
    async def ask(prompt: str):
        return "not reached"

    thread = threading.Thread(target=lambda: results.append(plain("x")), daemon=True)
    results = []
    thread.start()
    assert slow.started.wait(LIMIT)
    loop = asyncio.new_event_loop()
    task = loop.create_task(ask("x"))
    loop.run_until_complete(asyncio.sleep(0.01))
    task._log_destroy_pending = False
    for other in asyncio.all_tasks(loop):
        other._log_destroy_pending = False
    loop.close()
    slow.go.set()
    thread.join(LIMIT)
    assert results == ["answer"]
    task.get_coro().close()


def test_plain_functions_over_a_backend_that_waits():
    engine = SemanticCache(FaultyBackend(0.01))

    @engine.cache()
    def ask(prompt: str):
        return prompt

    assert [ask("x"), ask("x")] == ["x", "x"]
    assert last_lookup().outcome == "exact"


def test_what_is_learned_from_long_answers_may_wait_for_the_embedder():
    engine = SemanticCache("memory://", max_error=0.1, seed=1, guards=None)
    calls = []

    @engine.cache()
    def ask(prompt: str):
        calls.append(prompt)
        return f"Call {len(calls)}: Python is a programming language that people like for being easy to read. " * 3

    prompts = ["What is Python?", "What's Python?", "what is Python", "Tell me what Python is.", "Python: what is it?"]
    for prompt in prompts:
        assert ask(prompt).startswith("Call")
    assert ask.cache_info().errors == 0
