"""The audit log: who changed what, and when."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key

__all__ = ["AuditLog", "Record"]

_PREFIX = "operator:audit:"
_KEPT = 1000
_PRUNED_AT = 50  # one record in so many looks whether there are too many


class Record(NamedTuple):
    """A line of the audit log.

    Attributes:
        at: wall seconds.
        who: name of the token, and the address.
        action: such as ``"settings"``, ``"invalidate"``, ``"delete"``, ``"report"``, ``"export"``.
        target: what it was done to.
        old, new: before and after, as plain data; None where that means nothing.
        worker: the process that did it.
    """

    at: float
    who: str
    action: str
    target: str
    old: Any
    new: Any
    worker: str


class AuditLog:
    """Keeps the last 1,000 records in a backend, so that all processes see them and they outlive each.

    Where there is no backend, or it keeps no named states, they are in memory and end with the process.

    Args:
        worker: the name of this process.
        clock: wall time in seconds.
    """

    def __init__(self, worker: str, clock: Callable[[], float] = time.time) -> None:
        self._worker = worker
        self._clock = clock
        self._memory: deque[Record] = deque(maxlen=_KEPT)
        self._written = 0

    async def add(
        self, backend: StorageBackend | None, who: str, action: str, target: str, *, old: Any = None, new: Any = None
    ) -> None:
        """Add a record. A storage that fails costs the record its place there, not the action."""
        record = Record(self._clock(), who, action, target, old, new, self._worker)
        self._memory.append(record)
        # A key is any text: in the log it must stay one line.
        logger.info("semantic-llm-cache: %s by %s: %s", action, who, shown(target))
        if backend is None:
            return
        try:
            await require_key(backend)
            name = f"{_PREFIX}{record.at:017.6f}:{secrets.token_hex(4)}"
            await backend.set_state(name, json.dumps(record._asdict()).encode())
            self._written += 1
            if self._written % _PRUNED_AT == 0:
                for old_name in (await backend.list_states(_PREFIX))[:-_KEPT]:
                    await backend.set_state(old_name, None)
        except Exception as error:
            logger.warning("semantic-llm-cache: the audit log could not be written: %s", describe(error))

    async def read(self, backend: StorageBackend | None, limit: int) -> list[Record]:
        """Return the last records, newest first.

        Raises:
            CacheBackendError: the storage fails.
            EncryptionKeyError: it is encrypted, and its key was not given: the log would look empty.
        """
        names = [] if backend is None else await (await require_key(backend)).list_states(_PREFIX)
        if backend is None or not names:
            return list(reversed(self._memory))[:limit]
        found = []
        for name in reversed(names[-limit:]):
            value = await backend.get_state(name)
            try:
                record = Record(**json.loads(value or b""))
            except (ValueError, TypeError):  # removed meanwhile, or not ours
                continue
            texts = (record.who, record.action, record.target, record.worker)
            if type(record.at) in (int, float) and all(isinstance(text, str) for text in texts):
                found.append(record)
        return found
