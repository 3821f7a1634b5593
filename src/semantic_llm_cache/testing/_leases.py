"""Tests of leases, for backends that give them."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.records import Held, Lease
from semantic_llm_cache.testing._suite import Suite, X, raises, with_backend

__all__ = ["Leases"]

_LONG = 60.0
_SHORT = 0.15


def _token() -> str:
    return uuid.uuid4().hex


async def _taken(backend: StorageBackend, key: str, seconds: float = _LONG) -> Lease:
    lease = await backend.acquire_lease(key, _token(), seconds)
    assert isinstance(lease, Lease), lease
    return lease


def with_leases(test: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Wrap a test like `with_backend`; the test does nothing for a backend without leases."""

    @functools.wraps(test)
    async def run(self: Suite, backend: StorageBackend) -> None:
        if backend.gives_leases:
            await test(self, backend)

    return with_backend(run)


class Leases(Suite):
    """Check that one caller at a time holds the lease on a key, and only the last holder may store under it."""

    @with_leases
    async def test_of_many_one_gets_the_lease(self, backend: StorageBackend) -> None:
        tokens = [_token() for _ in range(20)]
        found = await asyncio.gather(*[backend.acquire_lease("k", token, _LONG) for token in tokens])
        leases = [lease for lease in found if isinstance(lease, Lease)]
        assert len(leases) == 1
        assert leases[0].key == "k"
        assert leases[0].token in tokens
        assert not leases[0].answered
        for other in found:
            if isinstance(other, Held):
                assert other.token == leases[0].token
                assert 0 < other.seconds <= _LONG
        assert isinstance(await backend.acquire_lease("other", _token(), _LONG), Lease)
        again = await backend.acquire_lease("k", leases[0].token, _LONG)  # its reply may have been lost
        assert again == leases[0]

    @with_leases
    async def test_a_lease_given_back_is_free(self, backend: StorageBackend) -> None:
        for key in ("k", "", "a b", "ключ {x}", "k" * 2000):
            lease = await _taken(backend, key)
            await backend.release_lease(lease)
            await backend.release_lease(lease)
            other = await _taken(backend, key)
            await backend.release_lease(lease)  # no longer the holder's
            assert isinstance(await backend.acquire_lease(key, _token(), _LONG), Held)
            await backend.release_lease(other)

    @with_leases
    async def test_who_waits_is_told(self, backend: StorageBackend) -> None:
        began = time.monotonic()
        await backend.wait_for_lease("k", _LONG)  # it is free
        for stores in (False, True):
            lease = await _taken(backend, "k")
            waiting = [asyncio.ensure_future(backend.wait_for_lease("k", _LONG)) for _ in range(3)]
            done, _ = await asyncio.wait(waiting, timeout=0.3)
            assert not done
            if stores:
                assert await backend.set_leased(lease, self.entry())
            else:
                await backend.release_lease(lease)
            await asyncio.gather(*waiting)
        lease = await _taken(backend, "k")
        await backend.wait_for_lease("k", _SHORT)  # not longer than this
        left = asyncio.ensure_future(backend.wait_for_lease("k", _LONG))
        await asyncio.sleep(0.05)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        assert time.monotonic() - began < _LONG / 2
        await backend.release_lease(lease)

    @with_leases
    async def test_who_comes_late_cannot_store(self, backend: StorageBackend) -> None:
        late = await _taken(backend, "k", _SHORT)
        await asyncio.sleep(2 * _SHORT)
        newer = await _taken(backend, "k")
        assert await backend.renew_lease(late, _LONG) is False
        assert await backend.set_leased(late, self.entry(response="late")) is False
        assert await backend.get("k") is None
        assert await backend.set_leased(newer, self.entry(response="newer")) is True
        assert await backend.renew_lease(late, _LONG) is False
        assert await backend.set_leased(late, self.entry(response="late")) is False
        await backend.release_lease(late)
        found = await backend.get("k")
        assert found is not None
        assert found.response == "newer"

    @with_leases
    async def test_a_lease_that_nobody_took_over_is_good(self, backend: StorageBackend) -> None:
        lease = await _taken(backend, "k", _SHORT)
        await asyncio.sleep(2 * _SHORT)
        assert await backend.renew_lease(lease, _LONG) is True
        held = await backend.acquire_lease("k", _token(), _LONG)
        assert isinstance(held, Held)
        assert held.seconds > 1
        short = await _taken(backend, "other", _SHORT)
        await asyncio.sleep(2 * _SHORT)
        assert await backend.set_leased(short, self.entry()) is True
        assert await backend.get("other") is not None

    @with_leases
    async def test_storing_gives_back_and_replaces(self, backend: StorageBackend) -> None:
        for answer in ("first", "second"):
            lease = await _taken(backend, "k")
            assert lease.answered is (answer == "second")
            assert await backend.set_leased(lease, self.entry(response=answer, embedding=X, ttl=60, tags=("t",)))
            found = await backend.get("k")
            near = await backend.find_similar(X, 0.9)
            assert found is not None
            assert near is not None
            assert found.response == near[1].response == answer
            assert found.tags == ("t",)
            assert await backend.set_leased(lease, self.entry(response="again")) is False
        plain = await _taken(backend, "k")
        assert await backend.set_leased(plain, self.entry(response="no vector"))
        assert await backend.find_similar(X, 0.9) is None
        over = await _taken(backend, "k2")
        assert await backend.set_leased(over, self.entry(created_at=self.clock.now - 100, ttl=60))
        assert await backend.get("k2") is None
        await _taken(backend, "k2")

    @with_leases
    async def test_what_cannot_be_stored_leaves_the_lease(self, backend: StorageBackend) -> None:
        lease = await _taken(backend, "k")
        await raises(CacheSerializationError, backend.set_leased(lease, self.entry(response=object())))
        assert isinstance(await backend.acquire_lease("k", _token(), _LONG), Held)
        assert await backend.set_leased(lease, self.entry())

    @with_leases
    async def test_leases_are_no_entries(self, backend: StorageBackend) -> None:
        lease = await _taken(backend, "k")
        assert (await backend.get_stats())["size"] == 0
        assert await backend.iterate() == []
        assert await backend.get("k") is None
        assert await backend.delete("k") is False
        assert await backend.clear() == 0
        assert isinstance(await backend.acquire_lease("k", _token(), _LONG), Held)
        await backend.set("k", self.entry(response="plain"))  # needs no lease
        assert await backend.renew_lease(lease, _LONG) is True
        await backend.release_lease(lease)
        found = await backend.get("k")
        assert found is not None
        assert found.response == "plain"
