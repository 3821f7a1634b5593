"""The management functions for plain code, such as scripts: each does what the async function of its name does.

    from semantic_llm_cache import sync

    sync.clear_cache("faq")

The work is done on the cache's own event loop, and these functions wait for it. Call them in any thread in which no
event loop runs; where one runs they raise RuntimeError, since they would block it. Callables that they take
(`progress=`, a function to warm) are called in another thread than the caller's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from semantic_llm_cache.management import copying, feedback, reembedding, removal, transfer, warming
from semantic_llm_cache.management.logs import warming as logs
from semantic_llm_cache.runtime import background

__all__ = [
    "clear_cache", "copy_cache", "export_cache", "import_cache", "invalidate", "reembed_cache", "report_right",
    "report_wrong", "warm_cache", "warm_from_log",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")


def _plain(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Return the plain twin of an async function: with its name, its parameters, its types and its documentation."""
    name = function.__name__

    @functools.wraps(function)
    def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        background.refuse_running_loop(f"sync.{name}()", f"`await semantic_llm_cache.{name}(...)`")
        return background.run(function(*args, **kwargs))

    twin.__module__ = __name__  # pickled by this name
    about = (inspect.getdoc(function) or "").partition("\n\nExample:")[0]
    twin.__doc__ = f"{about}\n\nThis is the plain twin of an async function. RuntimeError where an event loop runs."
    return twin


clear_cache = _plain(removal.clear_cache)
copy_cache = _plain(copying.copy_cache)
export_cache = _plain(transfer.export_cache)
import_cache = _plain(transfer.import_cache)
invalidate = _plain(removal.invalidate)
reembed_cache = _plain(reembedding.reembed_cache)
report_right = _plain(feedback.report_right)
report_wrong = _plain(feedback.report_wrong)
warm_cache = _plain(warming.warm_cache)
warm_from_log = _plain(logs.warm_from_log)
