"""Whatever the order of calls, cancellations and failures: never twice at once for a key, nobody stranded."""

import asyncio
from collections import Counter

import pytest
from engine_helpers import FaultyBackend, gathered, in_threads
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import SemanticCache

# Two wordings each of two questions, with vectors that say so.
VECTORS = {
    "how big is the moon": [1.0, 0.0, 0.0],
    "what size is the moon": [0.999, 0.0447, 0.0],
    "who wrote hamlet": [0.0, 0.0, 1.0],
    "who is the author of hamlet": [0.0, 0.0447, 0.999],
}
PROMPTS = list(VECTORS)

call = st.tuples(st.just("call"), st.sampled_from(PROMPTS))
cancel = st.tuples(st.just("cancel"), st.integers(0, 30))
end = st.tuples(st.sampled_from(["answer", "fail", "give up"]), st.sampled_from(PROMPTS))
turn = st.tuples(st.just("turn"), st.integers(1, 12))
forget = st.tuples(st.just("forget"), st.sampled_from(PROMPTS))


class Downstream:
    """The cached function: each run waits for the test to end it, and takes a while to clean up when cancelled.

    A run that was told to stop and is cleaning up does not count as running: who asks meanwhile runs the function.
    """

    def __init__(self):
        self.running = Counter()
        self.ending = 0
        self.twice = []
        self.open = []
        self.over = False

    async def __call__(self, prompt):
        self.running[prompt] += 1
        if self.running[prompt] > 1:
            self.twice.append(prompt)
        end = asyncio.get_running_loop().create_future()
        self.open.append((prompt, end))
        try:
            if self.over:
                return [prompt]
            return await end
        finally:
            self.running[prompt] -= 1
            self.ending += 1
            try:
                await asyncio.sleep(0)  # cleaning up takes a turn or two
                await asyncio.sleep(0)
            finally:
                self.ending -= 1

    def end(self, how, prompt=None):
        for place, (asked, future) in enumerate(self.open):
            if not future.done() and prompt in (None, asked):
                del self.open[place]
                if how == "answer":
                    future.set_result([asked])
                elif how == "fail":
                    future.set_exception(ValueError(asked))
                else:
                    future.cancel()
                return True
        return False


async def play(steps, near, waits):
    backend = FaultyBackend(0.0 if waits else None) if waits else "memory://"

    async def embed(text):
        await asyncio.sleep(0)
        return VECTORS[text]

    options = {"similarity": 0.99, "embedder": embed, "guards": None} if near else {}
    engine = SemanticCache(backend, **options)
    downstream = Downstream()

    @engine.cache()
    async def ask(prompt: str) -> list:
        return await downstream(prompt)

    tasks, cancelled = [], set()
    for what, detail in steps:
        if what == "call":
            tasks.append((detail, asyncio.create_task(ask(detail))))
        elif what == "cancel" and tasks:
            place = detail % len(tasks)
            if tasks[place][1].cancel():
                cancelled.add(place)
        elif what == "turn":
            for _ in range(detail):
                await asyncio.sleep(0)
        elif what == "forget":
            await ask.cache_invalidate(detail)
        elif what in ("answer", "fail", "give up"):
            downstream.end(what, detail)
    downstream.over = True
    while downstream.end("answer"):  # noqa: ASYNC110 - one by one
        await asyncio.sleep(0)
    results = await gathered([task for _, task in tasks])
    for _ in range(20):
        await asyncio.sleep(0)
    return downstream, tasks, cancelled, results, engine


def same_question(one, other):
    return PROMPTS.index(one) // 2 == PROMPTS.index(other) // 2


@pytest.mark.parametrize("waits", [False, True], ids=["memory", "slower storage"])
@pytest.mark.parametrize("near", [False, True], ids=["exact", "near"])
def test_any_interleaving(near, waits):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.one_of(call, call, call, cancel, end, turn, turn, forget), max_size=40))
    def check(steps):
        downstream, tasks, cancelled, results, engine = asyncio.run(play(steps, near, waits))
        assert downstream.twice == [], "one key, two calls at once"
        assert not downstream.running or max(downstream.running.values()) == 0
        assert downstream.ending == 0
        for place, ((prompt, task), result) in enumerate(zip(tasks, results, strict=True)):
            if isinstance(result, list):
                assert same_question(result[0], prompt) if near else result == [prompt]
            elif isinstance(result, asyncio.CancelledError):
                assert task.cancelled()
                if not any(what == "give up" for what, _ in steps):
                    assert place in cancelled
            else:
                assert isinstance(result, ValueError)
                assert result.args == (prompt,)
        lists = [id(result) for result in results if isinstance(result, list)]
        assert len(lists) == len(set(lists)), "two callers hold one list"
        _, state = engine.bound()
        assert (state.flights._by_key, state.flights._calling) == ({}, {})

    check()


step = st.tuples(st.sampled_from("abc"), st.sampled_from(["answer", "fail"]))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(step, max_size=8), min_size=2, max_size=4))
def test_threads_in_any_order(scripts):
    engine = SemanticCache("memory://")
    running, twice = Counter(), []
    failing = set()

    @engine.cache(ttl=3600)
    def ask(prompt: str) -> str:
        running[prompt] += 1
        if running[prompt] > 1:
            twice.append(prompt)
        try:
            if prompt in failing:
                raise ValueError(prompt)
            return prompt
        finally:
            running[prompt] -= 1

    def play(script):
        seen = []
        for prompt, what in script:
            (failing.add if what == "fail" else failing.discard)(prompt)
            try:
                seen.append(ask(prompt) == prompt)
            except ValueError as error:
                seen.append(error.args == (prompt,))
        return seen

    found = in_threads(*[lambda script=script: play(script) for script in scripts])
    assert twice == []
    assert found == [[True] * len(script) for script in scripts]
