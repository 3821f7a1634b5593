"""A decorated function that is dropped is freed at once, with its engine."""

import gc
import weakref

import pytest

from semantic_llm_cache import SemanticCache


async def _use(asked, is_async):
    value = asked("a")
    return await value if is_async else value


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_a_dropped_function_is_freed_with_its_engine(is_async):
    gc.collect()
    gc.disable()
    try:
        engine = SemanticCache("memory://")

        if is_async:

            @engine.cache
            async def ask(prompt: str) -> str:
                return prompt

        else:

            @engine.cache
            def ask(prompt: str) -> str:
                return prompt

        for _ in range(2):
            assert await _use(ask, is_async) == "a"
        value = ask.with_lookup("a")
        assert (await value if is_async else value)[1].outcome == "exact"
        seen = [weakref.ref(ask), weakref.ref(ask.cache_controls.engine)]
        del ask, value
        assert [reference() for reference in seen] == [None, None]
    finally:
        gc.enable()
