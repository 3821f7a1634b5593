"""`last_lookup()` never names an earlier call; `with_lookup` always names this one."""

import asyncio
import contextvars
import gc
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from semantic_llm_cache import CacheContext, CacheKeyError, Request, SemanticCache, last_lookup, report_wrong
from semantic_llm_cache.calls.lookup import latest


def asking(engine=None):
    @(engine or SemanticCache("memory://")).cache()
    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        if prompt == "slow":
            await asyncio.sleep(5)
        if prompt == "fail":
            raise ValueError("no")
        return f"answer to {prompt}"

    return ask


def asking_plain(engine=None):
    @(engine or SemanticCache("memory://")).cache()
    def ask(prompt: str) -> str:
        return f"answer to {prompt}"

    return ask


async def in_child_task(call):
    return await asyncio.create_task(call)


async def gathered(call):
    return (await asyncio.gather(call))[0]


async def waited_for(call):
    return await asyncio.wait_for(asyncio.ensure_future(call), 5)


async def shielded(call):
    return await asyncio.shield(call)


CHILDREN = [in_child_task, gathered, waited_for, shielded]


@pytest.mark.parametrize("again", [False, True], ids=["miss", "hit"])
@pytest.mark.parametrize("run", CHILDREN)
async def test_a_call_in_a_task_of_its_own_leaves_no_earlier_one_behind(run, again):
    ask = asking()
    await ask("good")
    if again:
        await asyncio.create_task(ask("bad"))
        await ask("good")
    assert last_lookup().prompt == "good"
    await run(ask("bad"))
    found = last_lookup()
    assert found is None, f"names {found.prompt!r}, another call"
    await ask("good")
    assert (last_lookup().prompt, last_lookup().outcome) == ("good", "exact")


async def test_a_call_under_wait_for_is_seen_or_leaves_nothing():
    ask = asking()
    await ask("good")
    await asyncio.wait_for(ask("bad"), 5)
    found = last_lookup()
    if sys.version_info >= (3, 12):  # it runs in the caller's own task
        assert found.prompt == "bad"
    else:
        assert found is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in 3.11")
async def test_a_task_group_and_its_tasks():
    ask = asking()
    await ask("good")
    seen = {}

    async def one(prompt):
        await ask(prompt)
        await asyncio.sleep(0.01)
        seen[prompt] = last_lookup().prompt

    async with asyncio.TaskGroup() as group:
        for prompt in "abc":
            group.create_task(one(prompt))
    assert seen == {"a": "a", "b": "b", "c": "c"}
    assert last_lookup() is None


@pytest.mark.parametrize("again", [False, True], ids=["miss", "hit"])
async def test_a_plain_call_in_a_thread_or_a_copied_context(again):
    ask = asking_plain()
    for run in (
        lambda: asyncio.to_thread(ask, "bad"),
        lambda: in_child_task(asyncio.to_thread(ask, "bad")),
        lambda: asyncio.sleep(0, contextvars.copy_context().run(ask, "bad")),
    ):
        if again:
            await run()
        ask("good")
        assert last_lookup().prompt == "good"
        await run()
        assert last_lookup() is None
    ask("good")
    assert last_lookup().prompt == "good"


async def test_a_child_sees_its_starters_call_until_somebody_makes_another():
    ask = asking()
    await ask("parent")

    async def child():
        before = last_lookup().prompt
        await asyncio.sleep(0.01)
        return before, last_lookup()

    task = asyncio.create_task(child())
    await asyncio.sleep(0)
    await ask("parent again")
    assert await task == ("parent", None)
    assert last_lookup().prompt == "parent again"


@pytest.mark.parametrize("way", ["timeout", "error", "unkeyable", "arguments", "engine", "bypass"])
async def test_a_call_that_is_cut_off_leaves_no_earlier_one_behind(way):
    engine = SemanticCache("memory://")
    ask = asking(engine)
    await ask("good")
    match way:
        case "timeout":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ask("slow"), 0.01)
        case "error":
            with pytest.raises(ValueError):
                await asyncio.create_task(ask("fail"))
        case "unkeyable":
            with pytest.raises(CacheKeyError):
                await engine.cache()(keyed)("q", threading.Lock())
        case "arguments":
            with pytest.raises(TypeError):
                await ask("q", 1, 2)
        case "engine":
            task = asyncio.create_task(engine.get_or_call(Request("n", None, "q"), lambda: asyncio.sleep(5)))
            await asyncio.sleep(0.01)
            task.cancel()
        case "bypass":
            with CacheContext(enabled=False):
                await asyncio.create_task(ask("bad"))
    assert last_lookup() is None


@pytest.mark.parametrize("option", ["scope", "tags", "key_func", "normalizer"])
async def test_an_option_that_raises_leaves_no_earlier_call_behind(option):
    broken = False

    def made(*args):
        if broken:
            raise RuntimeError(option)
        return {"scope": {"tenant": 1}, "tags": ["a"]}.get(option) or args[0]

    engine = SemanticCache("memory://")

    @engine.cache(**{option: made})
    async def ask(prompt: str) -> str:
        return prompt

    @engine.cache(**{option: made})
    def ask_plain(prompt: str) -> str:
        return prompt

    @engine.cache(**{option: made})
    def tell(prompt: str):
        yield prompt

    def told():
        return list(tell("bad"))

    for call in (lambda: ask("bad"), lambda: asyncio.to_thread(ask_plain, "bad"), lambda: asyncio.to_thread(told)):
        broken = False
        await ask("good")
        assert last_lookup().prompt == "good"
        broken = True
        with pytest.raises(RuntimeError, match=option):
            await call()
        assert last_lookup() is None


async def keyed(prompt: str, lock: object) -> str:
    return prompt


async def test_the_outer_of_two_nested_calls_is_the_last():
    engine = SemanticCache("memory://")
    inner = asking(engine)

    @engine.cache(namespace="outer")
    async def outer(prompt: str) -> str:
        answer = await inner(f"inner {prompt}")
        assert last_lookup().prompt == f"inner {prompt}"
        return answer

    @engine.cache(namespace="outer plain")
    def outer_plain(prompt: str) -> str:
        answer = plain(f"inner {prompt}")
        assert last_lookup().prompt == f"inner {prompt}"
        return answer

    plain = asking_plain(engine)
    await outer("a")
    assert last_lookup().prompt == "a"
    outer_plain("b")
    assert last_lookup().prompt == "b"
    _, lookup = await outer.with_lookup("c")
    assert lookup.prompt == "c"


async def test_a_stream_is_seen_when_it_has_been_read_to_its_end():
    ask = asking()

    @SemanticCache("memory://").cache()
    async def tell(prompt: str):
        for word in prompt.split():
            yield word

    @SemanticCache("memory://").cache()
    def tell_plain(prompt: str):
        yield from prompt.split()

    for _ in ("miss", "hit"):
        await ask("good")
        stream = tell("a b c")
        await anext(stream)
        assert last_lookup() is None or last_lookup().prompt == "a b c"
        async for _ in stream:
            pass
        assert last_lookup().prompt == "a b c"
        list(tell_plain("d e f"))
        assert last_lookup().prompt == "d e f"
    await ask("good")
    left = tell("g h i")
    await anext(left)
    await left.aclose()
    assert last_lookup() is None or last_lookup().prompt == "g h i"
    for function in (tell, tell_plain):
        with pytest.raises(TypeError, match=r"generator.*last_lookup"):
            function.with_lookup("a b c")


async def test_threads_have_their_own():
    ask = asking_plain()
    ask("here")
    with ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, ask, "there")
        there = await asyncio.get_running_loop().run_in_executor(pool, last_lookup)
    assert there.prompt == "there"


def test_two_threads_that_share_a_record_get_one_lookup():
    ask = asking_plain()
    ask("a")
    ask("a")
    contexts = [contextvars.copy_context() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda context: context.run(lambda: last_lookup().id), contexts))
    assert set(found) == {last_lookup().id}


def held_by(value):
    """Return all texts that an object keeps alive."""
    seen, stack, texts = set(), [value], []
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, (type, types.FunctionType, types.ModuleType)):
            continue
        seen.add(id(item))
        texts += [item] if isinstance(item, str) else []
        stack += gc.get_referents(item)
    return texts


@pytest.mark.parametrize("max_error", [None, 0.5])
async def test_an_answer_does_not_live_on_in_a_context(max_error):
    engine = SemanticCache("memory://", similarity=0.9, max_error=max_error)
    requests = [Request("n", None, text) for text in ("What is Python?", "What's Python?")]

    @engine.cache(namespace="n", result_type=list)
    async def ask(prompt: str) -> list:
        return [prompt, "the answer"]

    async def call():
        return await ask("What is Python?")

    await engine.store(requests[0], ["the answer"])
    for look in (
        lambda: engine.lookup(requests[0], result_type=list),
        lambda: engine.lookup(requests[1], result_type=list),
        call,  # a miss
        call,  # an exact hit
        lambda: engine.get_or_call(requests[1], call, result_type=list),
    ):
        for materialised in (False, True):
            with CacheContext() as context:
                await look()
            if materialised:
                assert last_lookup() is not None
            for holder in (latest(), context.lookups):
                texts = held_by(holder)
                assert any("Python" in text for text in texts)
                assert not any("the answer" in text for text in texts)


# ------------------------------------------------------------------------------ with_lookup


class Bot:
    def __init__(self, name):
        self.name = name

    @SemanticCache("memory://").cache()
    async def ask(self, prompt: str) -> str:
        return f"{self.name}: {prompt}"

    @SemanticCache("memory://").cache()
    def ask_plain(self, prompt: str) -> str:
        return f"{self.name}: {prompt}"

    @SemanticCache("memory://").cache()
    @classmethod
    async def of_class(cls, prompt: str) -> str:
        return f"{cls.__name__}: {prompt}"

    @staticmethod
    @SemanticCache("memory://").cache()
    def static(prompt: str) -> str:
        return prompt

    @SemanticCache("memory://").cache()
    @staticmethod
    async def static_below(prompt: str) -> str:
        return prompt


async def test_with_lookup_on_every_form():
    bot = Bot("b")
    for expected in ("miss", "exact"):
        for call, answer in [
            (bot.ask.with_lookup("q"), "b: q"),
            (Bot.ask.with_lookup(Bot("c"), "q"), "c: q"),
            (Bot.of_class.with_lookup("q"), "Bot: q"),
            (bot.static_below.with_lookup("q"), "q"),
        ]:
            value, lookup = await call
            assert (value, lookup.outcome, lookup.prompt) == (answer, expected, "q")
        for value, lookup in (bot.ask_plain.with_lookup("p"), Bot.static.with_lookup("p")):
            assert value in ("b: p", "p")
            assert (lookup.outcome, lookup.prompt) == (expected, "p")


async def test_with_lookup_sees_its_own_call_in_any_task():
    ask = asking()
    prompts = [str(n) for n in range(20)] * 3
    found = await asyncio.gather(*(ask.with_lookup(prompt) for prompt in prompts))
    assert [(answer, lookup.prompt) for answer, lookup in found] == [(f"answer to {p}", p) for p in prompts]
    assert {lookup.outcome for _, lookup in found} == {"miss", "coalesced"}
    assert len({lookup.id for _, lookup in found}) == 60
    with CacheContext(enabled=False):
        assert (await ask.with_lookup("1"))[1].outcome == "bypass"
    with pytest.raises(ValueError, match="no"):
        await ask.with_lookup("fail")
    with pytest.raises(TypeError):
        await ask.with_lookup("a", "b")


async def test_feedback_never_evicts_another_answer():
    ask = asking()
    good = await ask("good")
    await asyncio.gather(ask("bad"))
    if (found := last_lookup()) is not None:
        await report_wrong(found)
    assert await ask("good") == good
    assert last_lookup().outcome == "exact"


async def test_an_on_event_that_asks_too_does_not_hide_the_call():
    helper = asking()
    told = []

    def on_event(lookup):
        told.append(lookup)
        helper_plain("by the hook")

    helper_plain = asking_plain()
    ask = asking(SemanticCache("memory://", on_event=on_event))
    await helper("x")
    for outcome in ("miss", "exact"):
        await ask("q")
        assert (last_lookup().prompt, last_lookup().outcome) == ("q", outcome)
        assert last_lookup().id == told[-1].id


def test_a_context_collects_the_calls_of_its_children():
    ask = asking()

    async def main():
        with CacheContext() as calls:
            await asyncio.gather(ask("a"), ask("b"))
            await asyncio.wait_for(ask("a"), 5)
            await ask("c")
            assert last_lookup().id == calls.lookups[-1].id
        assert [(lookup.prompt, lookup.outcome) for lookup in calls.lookups][-2:] == [("a", "exact"), ("c", "miss")]
        assert len({lookup.id for lookup in calls.lookups}) == 4

    asyncio.run(main())
