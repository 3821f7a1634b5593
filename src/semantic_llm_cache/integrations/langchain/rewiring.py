"""Replaces the chat models in what LangChain builds around them: bindings, sequences, maps, fallbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.passthrough import RunnableAssign

__all__ = ["replace_models"]


def replace_models(part: Runnable[Any, Any], replacement: Callable[[BaseChatModel], BaseChatModel]) -> Any:
    """Return a copy of a runnable with `replacement(model)` in place of each chat model in it."""

    def inside(each: Any) -> Any:
        return replace_models(each, replacement)

    if isinstance(part, BaseChatModel):
        return replacement(part)
    if isinstance(part, RunnableBindingBase):
        return part.model_copy(update={"bound": inside(part.bound)})
    if isinstance(part, RunnableSequence):
        middle = [inside(step) for step in part.middle]
        return part.model_copy(update={"first": inside(part.first), "middle": middle, "last": inside(part.last)})
    if isinstance(part, RunnableParallel):
        return part.model_copy(update={"steps__": {name: inside(step) for name, step in part.steps__.items()}})
    if isinstance(part, RunnableAssign):
        return part.model_copy(update={"mapper": inside(part.mapper)})
    if isinstance(part, RunnableWithFallbacks):
        others = [inside(fallback) for fallback in part.fallbacks]
        return part.model_copy(update={"runnable": inside(part.runnable), "fallbacks": others})
    return part
