"""The error budgets that a backend keeps, for people: what each has served, and what it knows of a model's noise."""

from __future__ import annotations

import re
from typing import Any

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.matching.online.policy import OnlinePolicy
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["kept_budgets"]

_BOUND = r"(?:None|[0-9.e-]+)"
_NAME = re.compile(rf"online:(?P<namespace>.*?):{_BOUND}:{_BOUND}:(?:category:(?P<category>.+?):)?")


async def kept_budgets(backend: StorageBackend, namespace: str | None = None) -> list[dict[str, Any]]:
    """Return the figures of the kept budgets, of one namespace or all, as the process that wrote last saw them.

    In the form of ``get_stats()["error_budgets"]``. One that cannot be read is left out.
    """
    found = []
    for name in await backend.list_states("online:"):
        named = _NAME.match(name)
        if named is None or namespace not in (None, named["namespace"]):
            continue
        value = await backend.get_state(name)
        try:
            policy = OnlinePolicy.from_bytes(value or b"")
        except (CacheSerializationError, ValueError, TypeError):
            continue
        bounds = {"max_error": policy.max_error, "max_error_per_hit": policy.max_error_per_hit}
        found.append({**named.groupdict(), **bounds, **policy.summary()})
    return sorted(found, key=lambda record: -record["requests"])
