"""`warm_cache`: asks a list of prompts before users do."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from semantic_llm_cache.arguments import check_count, check_namespace, check_plain, shown
from semantic_llm_cache.calls.lookup import Lookup, last_lookup
from semantic_llm_cache.doors.cache import cache
from semantic_llm_cache.redaction import describe

__all__ = ["controls_of", "warm_cache"]

logger = logging.getLogger("semantic_llm_cache")


async def warm_cache(
    prompts: Iterable[str],
    llm_func: Callable[..., Any],
    namespace: str | None = None,
    concurrency: int = 8,
    *,
    progress: Callable[[int, int], object] | None = None,
    on_failure: Callable[[str, Exception], object] | None = None,
) -> int:
    """Call a cached function with each of `prompts`, so that it answers them from the cache afterwards.

    Args:
        prompts: each is passed as the function's prompt; all other parameters keep their defaults.
        llm_func: the decorated function, sync or async. An undecorated one is decorated with `namespace`.
        namespace: the function's own; may be left out.
        concurrency: how many calls run at once. Their texts are embedded together, and each waits for its vector as
            long as the cache's `timeout` allows, 1 second by default. Where the vector comes too late the answer is
            stored without one, and is found by equal text only; a warning then says how many these are. So give a
            cache that is warmed with many calls at once ``timeout=None``.
        progress: called with (done, total) after each prompt.
        on_failure: called with the prompt and the exception of each call that failed; it is logged too.

    Returns:
        How many of the prompts are now answered from the cache, those that have no vector included.

    Raises:
        ValueError: `namespace` is not the function's, or `concurrency` below 1.
        TypeError: `llm_func` is not callable.
    """
    if not callable(llm_func):
        raise TypeError(f"llm_func={shown(llm_func)} must be a function")
    if isinstance(prompts, (str, bytes)) or not isinstance(prompts, Iterable):
        raise TypeError(f"prompts={shown(prompts)} must be a list of strings")
    check_count(concurrency, "concurrency")
    check_plain(progress, "progress")
    check_plain(on_failure, "on_failure")
    check_namespace(namespace)
    asking = _Asking(*_cached(llm_func, namespace), on_failure)
    todo = list(prompts)
    done = 0
    gate = asyncio.Semaphore(concurrency)

    async def one(prompt: str) -> None:
        nonlocal done
        async with gate:
            await asking.ask(prompt)
        done += 1
        if progress is not None:
            progress(done, len(todo))

    await asyncio.gather(*(one(prompt) for prompt in todo))
    asking.warn_of_incomplete()
    return asking.cached


def _cached(function: Callable[..., Any], namespace: str | None) -> tuple[Callable[..., Any], Any]:
    """Return a cached function and its controls: `function` itself, or `function` decorated with `namespace`."""
    controls = controls_of(function)
    if controls is None:
        function = cache(namespace=namespace or "default")(function)
        controls = controls_of(function)
    elif namespace is not None and namespace != controls.engine.namespace:
        raise ValueError(
            f"namespace={namespace!r}, but {controls.binder.name} keeps its entries in "
            f"{controls.engine.namespace!r}: leave namespace out, or decorate the function with it"
        )
    return function, controls


class _Asking:
    """Calls a cached function with prompts, and counts those that the cache can answer afterwards."""

    def __init__(
        self, function: Callable[..., Any], controls: Any, on_failure: Callable[[str, Exception], object] | None
    ) -> None:
        self.function = function
        self.is_async = controls.is_async
        self.name = controls.binder.prompt_name
        self.positional = _takes_prompt_first(function, self.name)
        self.on_failure = on_failure
        self.cached = 0
        self.incomplete = 0
        self.reason = ""

    async def ask(self, prompt: str) -> None:
        """Ask one prompt. A failure is logged and reported, not raised."""
        try:
            if self.is_async:
                await self._call(prompt)
                self._count(last_lookup())
            else:
                self._count(await asyncio.to_thread(self._ask_here, prompt))
        except Exception as error:
            logger.warning("semantic-llm-cache: warming failed for one prompt: %s", describe(error))
            if self.on_failure is not None:
                self.on_failure(prompt, error)

    def warn_of_incomplete(self) -> None:
        """Log how many answers were stored while the cache failed in part, if any were."""
        if self.incomplete:
            logger.warning(
                "semantic-llm-cache: %d of %d answers were stored while a part of the cache failed, the first time "
                "with: %s. Those without a vector are found by equal text only: `semantic-llm-cache reembed --missing` "
                "adds it. If the embedder was too slow, give the cache timeout=None or lower concurrency=.",
                self.incomplete,
                self.cached,
                self.reason,
            )

    def _ask_here(self, prompt: str) -> Lookup | None:
        self._call(prompt)
        return last_lookup()

    def _count(self, lookup: Lookup | None) -> None:
        if lookup is None or not (lookup.hit or lookup.stored):
            return
        self.cached += 1
        if lookup.outcome == "error":
            self.incomplete += 1
            self.reason = self.reason or lookup.reason

    def _call(self, prompt: str) -> Any:
        return self.function(prompt) if self.positional else self.function(**{self.name: prompt})


def controls_of(function: Any) -> Any:
    """Return the cache controls of a decorated function; None for any other."""
    found = getattr(function, "cache_controls", None)
    return found if found is not None else getattr(function, "controls", None)


def _takes_prompt_first(function: Any, name: str) -> bool:
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and first.name == name and first.kind is not first.KEYWORD_ONLY
