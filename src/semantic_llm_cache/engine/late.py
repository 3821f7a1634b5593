"""Entries that come too late: stored although `invalidate` has named one of their labels since their call began.

What was invalidated in this process is in its memory (`withdrawals.py`). For the other processes, `invalidate` leaves
notes in the storage before it deletes anything, and a call looks at the notes after it has stored its entry. So either
the deletion finds the entry, or the call finds the note.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import ExitStack
from math import inf
from time import perf_counter

from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.access import Storage
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.outcome import Outage, Unreadable
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.exceptions import CacheBackendError, CacheSerializationError, EncryptionKeyError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import limited
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["MARGIN", "alias_withdrawn", "put", "withdraw", "withdrawn_since"]

MARGIN = 5.0
"""Seconds by which the clocks of two processes may differ. So long after an `invalidate` in one process, the others
store no answer with its labels."""

_PATIENCE = 5.0  # seconds that deleting an uncertain entry may take


async def withdraw(backend: StorageBackend, labels: Collection[str]) -> None:
    """Note that the entries with any of these labels are about to be deleted, here and for other processes.

    Call it before deleting. Trouble with the note is logged, not raised: the deletion is worth doing without it.

    Raises:
        EncryptionKeyError: the storage is encrypted with another key.
    """
    state = state_of(backend)
    state.withdraw(labels)
    if backend.in_process or not labels:
        return
    try:
        await backend.note_withdrawal(labels, backend.clock(), state.withdrawals.by)
    except EncryptionKeyError:
        raise
    except Exception as error:
        logger.warning(
            "semantic-llm-cache: other processes on %s do not learn of an invalidation (%s): their calls in flight may "
            "still store answers made from what has changed",
            backend.url,
            describe(error),
        )


async def put(
    storage: Storage,
    key: str,
    entry: CacheEntry,
    write: Callable[[], Awaitable[bool]],
    withdrawn: Callable[[], Awaitable[bool]],
    *,
    labelled: bool = True,
) -> str:
    """Write an entry, and delete it if it came too late; return why it is not kept, ``""`` if it is.

    What is uncertain goes, if it is `labelled`: an entry whose write fails on its way, or of which nobody can say
    whether it has been withdrawn, is deleted in the background. That is tried once; if it fails too, the entry may
    stay until its TTL ends.

    Args:
        storage: where it is written.
        key, entry: what is written.
        write: writes it; returns False if its lease was lost.
        withdrawn: returns whether it has been withdrawn.
        labelled: whether the caller has given labels.

    Raises what `Storage.run` does.
    """
    try:
        if not await write():
            return because("lease")
    except BaseException as error:
        if labelled and _may_have_arrived(error):
            _delete_later(storage, key, entry)
        raise
    try:
        if not await withdrawn():
            return ""
        await storage.delete_stored(key, entry.created_at)
    except BaseException:
        _delete_later(storage, key, entry)
        raise
    return because("invalidated")


def _may_have_arrived(error: BaseException) -> bool:
    """Return whether a write that raised this may have reached the storage, or still may."""
    if isinstance(error, (Unreadable, CacheSerializationError, EncryptionKeyError)):
        return False
    # Without a cause, the circuit breaker was open.
    return not isinstance(error, (Outage, CacheBackendError)) or error.__cause__ is not None


def _delete_later(storage: Storage, key: str, entry: CacheEntry) -> None:
    backend = storage.backend
    if backend.in_process:
        return

    working = ExitStack()  # from now on, not from when the background loop begins
    working.enter_context(storage.state.working())

    async def delete() -> None:
        with working:
            try:
                await limited(backend.delete_stored(key, entry.created_at), _PATIENCE)
            except Exception as error:
                logger.debug("semantic-llm-cache: an uncertain entry was not deleted: %s", describe(error))

    work = delete()
    try:
        background.spawn(work)
    except RuntimeError as error:  # the interpreter is ending and starts no more threads
        work.close()
        working.close()
        logger.debug("semantic-llm-cache: an uncertain entry was not deleted: %s", describe(error))


async def withdrawn_since(storage: Storage, call: Call, labels: Collection[str]) -> bool:
    """Return whether any of the labels of a call's answer has been withdrawn since the call began.

    Where the caller has given no labels, only this process is asked, which costs nothing.

    Raises what `Storage.run` does.
    """
    withdrawals, backend = storage.state.withdrawals, storage.backend
    if withdrawals.concern(labels, call.started):
        return True
    if backend.in_process or not call.is_labelled:
        return False
    began = backend.clock() - (perf_counter() - call.started)
    return await _noted(storage, labels, began, but_by=withdrawals.by)


async def alias_withdrawn(storage: Storage, of: CacheEntry, began: float) -> bool:
    """Return whether the answer of an entry has been withdrawn, so that no other prompt may have it.

    Any note since the call for that answer counts: an `invalidate` that takes long may not have reached the entry yet,
    and may have passed by the alias.

    Args:
        storage: where both are.
        of: the entry.
        began: when the work on the alias began, by `perf_counter`.

    Raises what `Storage.run` does.
    """
    if storage.state.withdrawals.concern(of.tags, began):
        return True
    if storage.backend.in_process or not of.tags:
        return False
    return await _noted(storage, of.tags, of.created_at - of.duration_ms / 1000)


async def _noted(storage: Storage, labels: Collection[str], began: float, but_by: str | None = None) -> bool:
    backend, withdrawals = storage.backend, storage.state.withdrawals
    at = await storage.run(lambda: backend.last_withdrawal(labels, but_by))
    if at > backend.clock() + MARGIN and not withdrawals.warned:
        withdrawals.warned = True
        what = "cannot be read" if at == inf else f"is {at - backend.clock():.0f} seconds ahead of the clock here"
        logger.warning(
            "semantic-llm-cache: %s: a note of an invalidation %s. Until it is replaced or that time has come, answers "
            "with its labels are not stored: check the clocks of all machines, and invalidate again",
            backend.url,
            what,
        )
    return at >= began - MARGIN
