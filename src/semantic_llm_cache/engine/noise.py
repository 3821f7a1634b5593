"""Makes some calls a second time, to learn how far a model's own answers to one prompt differ (``noise="measure"``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls.context import CacheContext
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.flights import current_chain
from semantic_llm_cache.engine.learning import Learning, snapshot
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.awaiting import maybe_await
from semantic_llm_cache.runtime.threads import in_thread

if TYPE_CHECKING:
    from semantic_llm_cache.matching.online import Decision

__all__ = ["SecondCalls"]

_THREAD = "semantic-llm-cache-second"
_PAUSE = 0.01  # seconds, in which the caller gets its answer: the call may take time on the caller's loop


class SecondCalls:
    """The second calls of one engine. They run in the background; their answers are compared and dropped.

    Args:
        learning: compares, and tells the error budget, which decides which calls are made twice.
        notices: logs problems.
    """

    def __init__(self, learning: Learning, notices: Notices) -> None:
        self._learning = learning
        self._notices = notices

    def begin(self, call: Call, value: Any) -> None:
        """Make a call a second time, if the error budget asks for that, without waiting for it.

        `value` is the answer that the caller gets.
        """
        choice = call.found.choice
        decision = None if choice is None else choice.decision
        if decision is not None and decision.twice and call.function is not None:
            self._learning.later(self._compare(call, call.function, decision, snapshot(value)))

    async def _compare(self, call: Call, function: Callable[[], Any], decision: Decision, value: Any) -> None:
        await asyncio.sleep(_PAUSE)
        current_chain.set(())  # nobody waits for this call, so it cannot wait for itself
        try:
            # A cache inside the function would answer with what the first call has just stored there.
            with CacheContext(enabled=False):
                # A plain function that hangs must not keep the process from ending.
                second = await (in_thread(function, _THREAD) if call.plain else maybe_await(function()))
        except Exception as error:
            self._notices.log_once("noise", f"a call could not be made twice to measure noise: {describe(error)}")
            return
        await self._learning.observe_noise(call, decision, value, second)
