"""Work in the background whose event loop was closed before its end."""

import asyncio
import gc
import weakref

from semantic_llm_cache.runtime import background


class Held:
    pass


def test_work_on_a_closed_loop_is_forgotten():
    held = Held()
    seen = weakref.ref(held)

    async def work(kept):
        await asyncio.Event().wait()

    async def begin(kept):
        background.later(work(kept))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin(held))
    loop.close()
    del held
    gc.collect()
    assert seen() is not None

    async def go_on():
        background.later(asyncio.sleep(0))

    asyncio.run(go_on())
    gc.collect()
    assert seen() is None
