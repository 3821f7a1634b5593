"""Answers of megabytes: written, stored and handed out while the event loop goes on."""

import asyncio
import json
import threading
from dataclasses import dataclass

import pytest
from engine_helpers import Model, gathered, until
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semantic_llm_cache import Request, SemanticCache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.values.encoding import Encoded, _decoder, dumps
from semantic_llm_cache.values.json_pieces import read, write
from semantic_llm_cache.values.offload import is_large

REQUEST = Request("n", {}, "p")
ROWS = [{"id": i, "text": f"row {i} " * 50, "tags": ["a", "b"], "score": i / 7} for i in range(20_000)]  # 11 MB


made_in = []


@dataclass
class Table:
    rows: list
    at: tuple = (1, 2)

    def __post_init__(self):
        made_in.append(threading.current_thread())


def made_elsewhere():
    """Tell whether tables were made since the last time, and none of them in this thread."""
    threads, made_in[:] = set(made_in), []
    return bool(threads) and threading.current_thread() not in threads


class Loop:
    """Counts the turns that an event loop takes."""

    def __init__(self):
        self.turns = 0

    async def _tick(self):
        while True:
            await asyncio.sleep(0)
            self.turns += 1

    async def during(self, awaitable):
        """Return what `awaitable` comes to, and how often the loop took a turn meanwhile."""
        ticking = asyncio.ensure_future(self._tick())
        await asyncio.sleep(0)
        before = self.turns
        try:
            return await awaitable, self.turns - before
        finally:
            ticking.cancel()


@pytest.fixture(params=["memory", "sqlite"])
async def cache(request, tmp_path):
    backend = MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")
    async with SemanticCache(backend, timeout=20) as made:
        yield made


async def test_ten_megabytes_are_stored_and_handed_out_while_the_loop_goes_on(cache):
    table, calls = Table(ROWS), []

    async def call():
        calls.append(1)
        return table

    made_in.clear()
    made, turns = await Loop().during(cache.get_or_call(REQUEST, call, result_type=Table))
    assert made is table
    assert turns > 10
    assert made_elsewhere()
    assert last_lookup().stored
    again, turns = await Loop().during(cache.get_or_call(REQUEST, call, result_type=Table))
    assert turns > 10
    assert made_elsewhere()
    assert again == table
    assert again.rows is not ROWS
    assert (len(calls), last_lookup().outcome) == (1, "exact")
    again.rows.clear()
    assert (await cache.lookup(REQUEST, result_type=Table)).response == table
    assert made_elsewhere()


async def test_those_who_joined_get_their_copies_while_the_loop_goes_on(cache):
    model = Model(answer=Table(ROWS[:4_000]))
    tasks = [asyncio.ensure_future(cache.get_or_call(REQUEST, model, result_type=Table)) for _ in range(4)]
    await until(lambda: model.calls)
    made_in.clear()
    model.go.set()
    answers = await gathered(tasks)
    assert len(made_in) == 4  # to see that it comes back as it is, and for the three who joined
    assert made_elsewhere()
    assert all(answer == model.answer for answer in answers)
    assert len({id(answer.rows) for answer in answers}) == 4


async def test_those_who_joined_a_hit_too(cache):
    table = Table(ROWS[:4_000])
    await cache.store(REQUEST, table, result_type=Table)
    made_in.clear()
    asked = (cache.get_or_call(REQUEST, lambda: 1, result_type=Table) for _ in range(4))
    answers = await gathered([asyncio.ensure_future(one) for one in asked])
    assert made_elsewhere()
    assert answers == [table] * 4
    assert len({id(answer.rows) for answer in answers}) == 4


async def test_store_lets_the_loop_go_on(cache):
    table = Table(ROWS[:4_000])
    made_in.clear()
    assert await cache.store(REQUEST, table, result_type=Table)
    assert made_elsewhere()


async def test_a_long_stream_is_stored_and_replayed_while_the_loop_goes_on(cache):
    @cache.cache
    async def tell(prompt: str):
        for row in ROWS[:4_000]:
            yield row

    async def told():
        return [chunk async for chunk in tell("p")]

    for _ in range(2):
        chunks, turns = await Loop().during(told())
        assert turns > 10
        assert chunks == ROWS[:4_000]
    assert last_lookup().outcome == "exact"


def test_plain_code_does_it_in_its_own_thread():
    @SemanticCache("memory://").cache
    def ask(prompt: str) -> Table:
        return Table(ROWS[:4_000])

    made_in.clear()
    assert ask("p") == ask("p")
    assert last_lookup().outcome == "exact"
    assert set(made_in) == {threading.current_thread()}


async def test_plain_code_on_a_loop_needs_no_other_thread():
    @SemanticCache("memory://").cache
    def ask(prompt: str) -> list:
        return list(ROWS[:4_000])

    assert ask("p") == ask("p") == ROWS[:4_000]
    assert last_lookup().outcome == "exact"


async def test_an_answer_that_cannot_come_back_is_returned_uncached():
    cache = SemanticCache("memory://")
    answer = [*ROWS[:4_000], object()]
    with pytest.warns(match="no stored form"):
        assert await cache.get_or_call(REQUEST, lambda: answer) is answer
    assert not last_lookup().stored


# ------------------------------------------------------------------------------ what is large


def test_what_is_large_is_told_by_looking_at_a_part_of_it():
    assert not is_large("x" * 10_000_000)  # handed out as it is
    assert not is_large(("x" * 10_000_000, 1))
    assert is_large(["x" * 1_000_000])
    assert is_large({"a": {"b": list(range(2_000))}})
    assert is_large(Table(ROWS))
    assert is_large(Encoded("x" * 200_000))
    assert not is_large(Encoded("x" * 1_000))
    assert not is_large({"choices": [{"message": {"role": "assistant", "content": "x" * 10_000}}], "usage": {"n": 1}})
    endless = []
    endless.append(endless)
    assert is_large(endless)


# ------------------------------------------------------------------------------ in pieces

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=30,
)
marks = '},{"a":[1,2],"b":"],["\\\\,'


@settings(max_examples=25, deadline=None)
@given(plain, st.sampled_from([1, 300, 4_000]))
@example(marks, 8_000)
@example({marks: [marks, [[marks]], {}]}, 5_000)
@example([[[], {}], [[1], [2]]], 8_000)
@example([1.5, -3, 1e300, 12345678901234567890], 8_000)
@example([{"a": [{"b": [1, 2, 3]}]}], 8_000)
def test_in_pieces_it_is_the_same_text_and_the_same_value(value, times):
    for tree in (
        value,
        [value] * times,
        {"a": [[value] * times], "b": value},
        [[value] * times, "\u00e9\U0001f600" * times],
    ):
        text = write(tree)
        assert text == json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
        assert read(text, _decoder()) == _decoder().decode(text)
        assert read(f"\r\n {json.dumps(tree)}\t", _decoder()) == tree  # with blanks


@pytest.mark.parametrize("broken", ["[", "]", "{", '"', ",", ":", "1", "}", "nul", " "])
def test_what_is_no_json_is_told_as_the_decoder_tells_it(broken):
    text = dumps(ROWS[:3_000])
    for at in (0, 1, len(text) // 2, len(text) - 1, len(text)):
        spoilt = text[:at] + broken + text[at:]
        results = []
        for function in (lambda t: read(t, _decoder()), _decoder().decode):
            try:
                results.append(function(spoilt))
            except ValueError as error:
                results.append(str(error))
        assert results[0] == results[1]
    assert read(json.dumps(ROWS[:3_000], indent=1), _decoder()) == ROWS[:3_000]  # with blanks
