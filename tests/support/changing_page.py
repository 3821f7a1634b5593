"""A document that changes while a call reads it, for the tests of `invalidate`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["QUESTION", "Page", "whole_answer"]

QUESTION = "How do I reset the router?"


class Page:
    """A document, and functions that read it slowly."""

    def __init__(self) -> None:
        self.text, self.calls = "old", 0
        self.go_on, self.read = asyncio.Event(), asyncio.Event()

    def __cache_scope__(self) -> str:
        return "page"

    async def answer(self, question: str) -> str:
        self.calls += 1
        seen = self.text
        self.read.set()
        await self.go_on.wait()
        if seen == "fails":
            raise ConnectionError("down")
        return seen

    async def stream(self, question: str) -> Any:
        yield await self.answer(question)

    async def change(self, change: Callable[[], Awaitable[Any]]) -> None:
        """Change the document while a call has read it, and let it go on."""
        await self.read.wait()
        self.text = "new"
        await change()


async def whole_answer(ask: Any, question: str = QUESTION) -> str:
    """Return the answer, or all chunks of it together."""
    given = ask(question)
    if hasattr(given, "__aiter__"):
        return "".join([chunk async for chunk in given])
    answer: str = await given
    return answer
