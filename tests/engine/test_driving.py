"""One source for async and plain code: what both must do alike, and what the drivers see to."""

import asyncio
import contextlib
import traceback

import pytest
from engine_helpers import FaultyBackend, in_threads, limited

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.engine.driving import Do, drive, drive_blocking
from semantic_llm_cache.engine.outcome import Failure
from semantic_llm_cache.exceptions import CacheBackendError


async def answer(value):
    return value


async def fail(error):
    raise error


def both(steps):
    """What the two drivers make of the same steps."""
    return [asyncio.run(drive(steps())), drive_blocking(steps())]


def test_results_are_sent_and_the_last_one_is_returned():
    def steps():
        first = yield Do(lambda: answer(1))
        second = yield Do(lambda: answer(first + 1), waits=False)
        return first, second

    assert both(steps) == [(1, 2), (1, 2)]


def test_errors_are_thrown_where_the_step_was_asked_for():
    def steps():
        try:
            yield Do(lambda: fail(ValueError("x")))
        except ValueError as error:
            return str(error)

    assert both(steps) == ["x", "x"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_failure_is_raised_at_the_end(error):
    def steps():
        yield Do(lambda: answer(1))
        return Failure(error)

    with pytest.raises(type(error)):
        drive_blocking(steps())
    coroutine = drive(steps())
    with pytest.raises(type(error)):
        coroutine.send(None)


def test_steps_clean_up_when_the_caller_goes():
    done = []

    def inner():
        try:
            yield Do(lambda: asyncio.sleep(10))
        finally:
            done.append((yield Do(lambda: answer("closed"))))

    def steps():
        yield from inner()

    async def main():
        task = asyncio.ensure_future(drive(steps()))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        coroutine = drive(steps())
        coroutine.send(None)
        coroutine.close()  # as the collector does with a coroutine whose loop has gone

    asyncio.run(main())
    assert done == ["closed", "closed"]


def test_a_step_that_says_it_does_not_wait_must_not():
    def steps():
        yield Do(lambda: asyncio.sleep(0), waits=False)

    with pytest.raises(CacheBackendError, match="in_process"):
        drive_blocking(steps())


# ------------------------------------------------------------------------------ the same in async and in plain code


@pytest.fixture(params=["async", "plain"])
def cached(request):
    """Decorate a plain function, as it is or made async; return what calls it from plain code."""

    def decorate(engine, function):
        if request.param == "plain":
            return engine.cache(function)

        async def made(prompt: str):
            return function(prompt)

        wrapper = engine.cache(made)
        return lambda prompt: asyncio.run(limited(wrapper(prompt)))

    return decorate


def test_what_the_function_raises_shows_where(cached):
    def deep(prompt):
        raise ValueError(prompt)

    ask = cached(SemanticCache("memory://"), lambda prompt: deep(prompt))
    with pytest.raises(ValueError, match="x") as caught:
        ask("x")
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "deep"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_even_stop_iteration_passes_unchanged():
    engine = SemanticCache("memory://")

    @engine.cache
    def ask(prompt: str):
        raise StopIteration(3)

    with pytest.raises(StopIteration) as caught:
        ask("x")
    assert caught.value.value == 3


def test_a_store_that_fails_is_an_error_of_the_cache(cached):
    seen = []
    backend = FaultyBackend(RuntimeError("full"), only=("set",))
    ask = cached(SemanticCache(backend, on_error="raise", on_event=seen.append), lambda prompt: "answer")
    with pytest.raises(CacheBackendError):
        ask("x")
    assert [lookup.outcome for lookup in seen] == ["error"]
    assert "function" not in seen[0].reason


def test_cache_if_may_not_wait_for_its_own_call(cached, caplog):
    made = {}

    def wanted(value):
        return made["ask"]("x") == value

    engine = SemanticCache("memory://", cache_if=wanted)

    @engine.cache
    def plain(prompt: str):
        return "answer"

    made["ask"] = plain
    results = in_threads(lambda: plain("x"))
    assert results == ["answer"]
    assert "cache_if raised" in caplog.text
