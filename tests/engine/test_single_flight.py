"""Promise 3: concurrent calls for one key run the function once, and nobody is left waiting."""

import asyncio
import contextvars

import pytest
from engine_helpers import Model, gathered, limited, until

from semantic_llm_cache import SemanticCache, cache, last_lookup
from semantic_llm_cache.exceptions import CacheReentryError, CacheWarning


def cached(model, **options):
    engine = SemanticCache("memory://", **options)

    @engine.cache()
    async def ask(prompt: str):
        return await model(prompt)

    ask.engine = engine
    return ask


async def crowd(ask, count, prompt="What is Python?"):
    tasks = [asyncio.create_task(ask(prompt)) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_200_identical_calls_run_the_function_once():
    model = Model()
    ask = cached(model)
    tasks = await crowd(ask, 200)
    await model.started.wait()
    model.go.set()
    assert await gathered(tasks) == ["answer"] * 200
    assert model.calls == 1
    info = ask.cache_info()
    assert (info.misses, info.coalesced_hits) == (1, 199)


@pytest.mark.parametrize("leader_leaves", [False, True])
async def test_half_of_the_waiters_are_cancelled_and_the_rest_is_served(leader_leaves):
    model = Model()
    ask = cached(model)
    tasks = await crowd(ask, 200)
    await model.started.wait()
    gone = tasks[:100] if leader_leaves else tasks[100:]
    for task in gone:
        task.cancel()
    await asyncio.sleep(0.01)
    model.go.set()
    served = await gathered([task for task in tasks if task not in gone])
    assert served == ["answer"] * 100
    assert all(task.cancelled() for task in gone)
    assert (model.calls, model.cancelled) == (1, 0)
    assert await ask("What is Python?") == "answer"
    assert model.calls == 1, "the answer was stored although its first caller had left"


async def test_the_call_is_cancelled_when_all_who_waited_have_gone():
    model = Model()
    ask = cached(model)
    tasks = await crowd(ask, 5)
    await model.started.wait()
    for task in tasks:
        task.cancel()
    await gathered(tasks)
    await until(lambda: model.cancelled == 1)
    model.go.set()
    assert await ask("What is Python?") == "answer"
    assert model.calls == 2


async def test_a_newcomer_after_the_last_has_left_gets_a_call_of_its_own():
    model = Model()
    ask = cached(model)
    (first,) = await crowd(ask, 1)
    await model.started.wait()
    first.cancel()
    await asyncio.sleep(0)  # the call is told to end, but has not yet
    (second,) = await crowd(ask, 1)
    model.go.set()
    assert await gathered([second]) == ["answer"]
    assert model.most == 1


async def test_a_call_cancelled_before_its_first_step_leaves_its_key_free():
    model = Model()
    ask = cached(model)
    first = asyncio.create_task(ask("What is Python?"))
    await asyncio.sleep(0)  # its call is a task that has not begun
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.01)
    assert first.cancelled()
    assert model.calls == 0
    model.go.set()
    assert await limited(ask("What is Python?")) == "answer"


async def test_a_failure_reaches_all_who_waited_unchanged_and_is_not_cached():
    error = ValueError("no such model", 42)
    model = Model(error)
    ask = cached(model)
    tasks = await crowd(ask, 20)
    await model.started.wait()
    model.go.set()
    assert [found is error for found in await gathered(tasks)] == [True] * 20
    assert error.args == ("no such model", 42)
    assert model.calls == 1
    model.answer = "well again"
    assert await ask("What is Python?") == "well again"
    assert model.calls == 2
    assert ask.cache_info().misses == 21


async def test_what_is_no_exception_reaches_the_first_caller_unchanged_and_the_others_ask_anew():
    class Stop(BaseException):
        pass

    model = Model(Stop("enough"))
    ask = cached(model)
    tasks = await crowd(ask, 3)
    await model.started.wait()
    model.go.set()
    found = await gathered(tasks)
    assert [type(item) for item in found] == [Stop] * 3
    assert (model.calls, model.most) == (3, 1)


async def test_a_call_cancelled_from_within_looks_the_same_as_without_a_cache():
    async def give_up(prompt):
        raise asyncio.CancelledError("by itself")

    ask = cached(give_up)
    with pytest.raises(asyncio.CancelledError):
        await ask("x")


tenant = contextvars.ContextVar("tenant", default="nobody")  # of the module: in a closure it would be scope


async def test_the_function_sees_the_first_callers_context():
    seen, go = [], asyncio.Event()

    async def look(prompt):
        await go.wait()
        seen.append(tenant.get())
        return tenant.get()

    ask = cached(look)

    async def as_tenant(name):
        tenant.set(name)
        return await ask("q")

    tasks = [asyncio.create_task(as_tenant(name)) for name in ("first", "second")]
    await asyncio.sleep(0.01)
    go.set()
    assert await gathered(tasks) == ["first", "first"]
    assert seen == ["first"]


# ------------------------------------------------------------------ calls that ask for themselves


async def test_a_call_that_asks_for_itself_is_told():
    ask = cached(lambda prompt: ask(prompt))
    with pytest.raises(CacheReentryError, match="__wrapped__"):
        await limited(ask("x"))


async def test_calls_that_ask_for_each_other_are_told():
    engine = SemanticCache("memory://")

    @engine.cache()
    async def a(prompt: str):
        await asyncio.sleep(0.01)
        return await b(prompt)

    @engine.cache()
    async def b(prompt: str):
        await asyncio.sleep(0.01)
        return await a(prompt)

    with pytest.raises(CacheReentryError):
        await limited(a("x"))
    found = await gathered([asyncio.create_task(a("y")), asyncio.create_task(b("y"))])
    assert {type(item) for item in found} == {CacheReentryError}


async def test_a_circle_is_seen_while_the_same_answer_is_awaited_twice():
    engine = SemanticCache("memory://")
    inner_go, seen = asyncio.Event(), []

    @engine.cache()
    async def inner(prompt: str):
        await inner_go.wait()
        try:
            return await outer(prompt)
        except CacheReentryError as error:
            seen.append(error)
            return "told"

    @engine.cache()
    async def outer(prompt: str):
        first, second = asyncio.create_task(inner(prompt)), asyncio.create_task(inner(prompt))
        await asyncio.sleep(0.01)
        second.cancel()  # the other one still waits
        await asyncio.sleep(0.01)
        inner_go.set()
        return await first

    assert await limited(outer("x")) == "told"
    assert len(seen) == 1


async def test_a_function_may_call_other_cached_functions_and_other_prompts_of_its_own():
    engine = SemanticCache("memory://")

    @engine.cache()
    async def fibonacci(prompt: str):
        n = int(prompt)
        if n < 2:
            return n
        return sum(await asyncio.gather(fibonacci(str(n - 1)), fibonacci(str(n - 2))))

    assert await limited(fibonacci("20")) == 6765
    assert fibonacci.cache_info().misses == 21


async def test_a_task_left_behind_by_a_call_may_ask_again():
    later = []

    async def call(prompt):
        async def ask_again():
            await asyncio.sleep(0.02)
            return await ask(prompt)

        later.append(asyncio.create_task(ask_again()))
        return "answer"

    ask = cached(call)
    assert await ask("x") == "answer"
    assert await gathered(later) == ["answer"]


# ------------------------------------------------------------------ by meaning


async def near(model, **options):
    ask = cached(model, similarity=0.95, **options)
    ask.engine.need_embedder().load()
    return ask


async def test_two_wordings_in_flight_join_by_meaning():
    model = Model()
    ask = await near(model)
    first = asyncio.create_task(ask("What is Python?"))
    await model.started.wait()

    async def second():
        return await ask("What's Python?"), last_lookup()

    other = asyncio.create_task(second())
    far = asyncio.create_task(ask("What is Rust?"))
    await until(lambda: model.calls == 2)
    await asyncio.sleep(0.05)
    model.go.set()
    answer, lookup = (await gathered([other]))[0]
    assert await gathered([first, far]) == ["answer"] * 2
    assert answer == "answer"
    assert model.calls == 2, "Rust is another question, the other wording is not"
    assert lookup.outcome == "coalesced"
    assert 0.95 <= lookup.similarity < 1
    assert lookup.matched_prompt == "What is Python?"


async def test_one_who_joined_by_meaning_runs_its_own_call_when_that_fails():
    go, asked = asyncio.Event(), []

    async def call(prompt):
        asked.append(prompt)
        if prompt == "What is Python?":
            await go.wait()
            raise RuntimeError("down")
        return "a language"

    ask = await near(call)
    first = asyncio.create_task(ask("What is Python?"))
    await until(lambda: asked)
    others = [asyncio.create_task(ask("What's Python?")) for _ in range(3)]
    await asyncio.sleep(0.1)
    assert asked == ["What is Python?"]
    go.set()
    error, *answers = await gathered([first, *others])
    assert isinstance(error, RuntimeError)
    assert answers == ["a language"] * 3
    assert asked == ["What is Python?", "What's Python?"]


async def test_one_who_joined_by_meaning_runs_its_own_call_when_that_is_cancelled():
    model = Model()
    ask = await near(model)
    first = asyncio.create_task(ask("What is Python?"))
    await model.started.wait()
    second = asyncio.create_task(ask("What's Python?"))
    await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.sleep(0.05)
    model.go.set()
    assert await gathered([second]) == ["answer"]
    assert (model.calls, model.cancelled) == (1, 0), "who joined by meaning is waited for like any other"


async def test_two_wordings_that_wait_for_each_other_both_run():
    inside = asyncio.Event()
    asked = []

    async def call(prompt):
        asked.append(prompt)
        if prompt == "What is Python?":
            inside.set()
            await asyncio.sleep(0.1)  # the other wording joins this call meanwhile
            return await ask("What's Python?")
        return "a language"

    ask = await near(call)
    first = asyncio.create_task(ask("What is Python?"))
    await inside.wait()
    second = asyncio.create_task(ask("What's Python?"))
    found = await gathered([first, second])
    # Nobody waits for ever: the inner call is told, or answers; the joiner gets an answer in any case.
    assert found[1] == "a language"
    assert found[0] == "a language" or isinstance(found[0], CacheReentryError)


async def test_a_caller_with_a_higher_threshold_is_not_served_anothers_near_hit():
    engine = SemanticCache("memory://", similarity=0.9, namespace="shared")
    strict_engine = engine.derive(similarity=0.999)
    asked = []

    @engine.cache(namespace="shared")
    async def lenient(prompt: str):
        asked.append(("lenient", prompt))
        return "for all"

    @strict_engine.cache(namespace="shared")
    async def strict(prompt: str):
        asked.append(("strict", prompt))
        return "for the strict"

    await lenient("What is Python?")
    both = await gathered([asyncio.create_task(function("What's Python?")) for function in (lenient, strict)])
    assert both == ["for all", "for the strict"]
    assert asked == [("lenient", "What is Python?"), ("strict", "What's Python?")]


# ------------------------------------------------------------------ answers that cannot be stored


async def test_an_answer_that_can_be_copied_but_not_stored_is_shared_by_copies():
    class Odd:
        def __init__(self):
            self.items = []

    model = Model()
    model.answer = Odd()
    ask = cached(model)

    async def one():
        found = await ask("x")
        found.items.append("mine")
        return found

    tasks = [asyncio.create_task(one()) for _ in range(3)]
    await model.started.wait()
    model.go.set()
    with pytest.warns(CacheWarning, match="uncached"):
        found = await gathered(tasks)
    assert model.calls == 1
    assert len({id(item) for item in found}) == 3
    assert [item.items for item in found] == [["mine"]] * 3


async def test_each_gets_a_generator_of_its_own():
    calls, go = [], asyncio.Event()

    async def call(prompt):
        calls.append(prompt)
        await go.wait()
        return (letter for letter in "abc")

    ask = cached(call)
    tasks = await crowd(ask, 4)
    go.set()
    with pytest.warns(CacheWarning, match="uncached"):
        found = await gathered(tasks)
    assert [list(item) for item in found] == [["a", "b", "c"]] * 4
    assert len(calls) == 4
    info = ask.cache_info()
    assert (info.hits, info.misses) == (0, 4)


async def test_each_gets_an_open_file_of_its_own(tmp_path):
    path = tmp_path / "answer.txt"
    path.write_text("whole")
    go = asyncio.Event()

    async def call(prompt):
        await go.wait()
        return path.open()

    ask = cached(call)
    tasks = await crowd(ask, 3)
    go.set()
    with pytest.warns(CacheWarning, match="uncached"):
        files = await gathered(tasks)
    try:
        assert [file.read() for file in files] == ["whole"] * 3
    finally:
        for file in files:
            file.close()


async def test_functions_of_one_namespace_share_a_flight(default_backend):
    model = Model()

    @cache(namespace="team")
    async def one(prompt: str):
        return await model(prompt)

    @cache(namespace="team")
    async def other(prompt: str):
        return await model(prompt)

    tasks = [asyncio.create_task(one("q")), asyncio.create_task(other("q"))]
    await model.started.wait()
    await asyncio.sleep(0.01)
    model.go.set()
    assert await gathered(tasks) == ["answer", "answer"]
    assert model.calls == 1
