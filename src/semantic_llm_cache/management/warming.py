"""`warm_cache`: ask a list of prompts ahead of the users."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from semantic_llm_cache.arguments import check_callable, check_count, check_namespace, shown
from semantic_llm_cache.calls.lookup import last_lookup
from semantic_llm_cache.doors.decorator import cache
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.breaker import logger

__all__ = ["controls_of", "warm_cache"]


async def warm_cache(
    prompts: Iterable[str],
    llm_func: Callable[..., Any],
    namespace: str | None = None,
    concurrency: int = 8,
    *,
    progress: Callable[[int, int], object] | None = None,
    on_failure: Callable[[str, Exception], object] | None = None,
) -> int:
    """Ask `prompts` of a cached function, so that it answers them from the cache afterwards.

    Args:
        prompts: what to ask; each is given as the function's prompt, everything else by its defaults.
        llm_func: the decorated function, sync or async. An undecorated one is decorated with `namespace`.
        namespace: the function's own; may be left out.
        concurrency: how many calls run at once.
        progress: called with (done, total) after each prompt.
        on_failure: called with the prompt and the exception of each call that failed; it is logged too.

    Returns:
        How many of the prompts are now answered from the cache.

    Raises:
        ValueError: `namespace` is not the function's, or `concurrency` below 1.
        TypeError: `llm_func` is not callable.
    """
    if not callable(llm_func):
        raise TypeError(f"llm_func={shown(llm_func)} must be a function")
    if isinstance(prompts, (str, bytes)) or not isinstance(prompts, Iterable):
        raise TypeError(f"prompts={shown(prompts)} must be a list of strings")
    check_count(concurrency, "concurrency")
    check_callable(progress, "progress")
    check_callable(on_failure, "on_failure")
    check_namespace(namespace)
    controls = controls_of(llm_func)
    if controls is None:
        llm_func = cache(namespace=namespace or "default")(llm_func)
        controls = controls_of(llm_func)
    elif namespace is not None and namespace != controls.engine.namespace:
        raise ValueError(
            f"namespace={namespace!r}, but {controls.binder.name} keeps its entries in "
            f"{controls.engine.namespace!r}: leave namespace out, or decorate the function with it"
        )
    name = controls.binder.prompt_name
    positional = _takes_prompt_first(llm_func, name)
    todo = list(prompts)
    done = cached = 0
    gate = asyncio.Semaphore(concurrency)

    def ask(prompt: str) -> Any:
        return llm_func(prompt) if positional else llm_func(**{name: prompt})

    def ask_here(prompt: str) -> bool:
        ask(prompt)
        return _is_cached()

    async def one(prompt: str) -> None:
        nonlocal done, cached
        async with gate:
            try:
                if controls.is_async:
                    await ask(prompt)
                    cached += _is_cached()
                else:
                    found = await asyncio.to_thread(ask_here, prompt)
                    cached += found  # not in one step with the await: others add meanwhile
            except Exception as error:
                logger.warning("semantic-llm-cache: warming failed for one prompt: %s", describe(error))
                if on_failure is not None:
                    on_failure(prompt, error)
        done += 1
        if progress is not None:
            progress(done, len(todo))

    await asyncio.gather(*(one(prompt) for prompt in todo))
    return cached


def controls_of(function: Any) -> Any:
    """Return what a decorated function knows of itself; None for any other."""
    found = getattr(function, "cache_controls", None)
    return found if found is not None else getattr(function, "controls", None)


def _is_cached() -> bool:
    lookup = last_lookup()
    return lookup is not None and (lookup.hit or lookup.stored)


def _takes_prompt_first(function: Any, name: str) -> bool:
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and first.name == name and first.kind is not first.KEYWORD_ONLY
