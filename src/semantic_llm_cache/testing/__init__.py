"""`BackendConformance`: the contract of `StorageBackend` as tests, for any backend.

Subclass it in a test module and define how to create a backend. pytest and `unittest` run the rest: the
methods need no fixtures and no plugins.

    class TestMine(BackendConformance):
        def make_backend(self, clock):
            return MyBackend("127.0.0.1:7000", clock=clock)

Each test starts with an empty backend from `make_backend`, so that method must remove the data of earlier
tests. A backend that implements only the seven abstract methods sets `keeps_counters`,
`keeps_hits` and `reads_quietly` to False.
"""

from __future__ import annotations

from semantic_llm_cache.testing._any_text import AnyText
from semantic_llm_cache.testing._by_key import ByKey, Expiry
from semantic_llm_cache.testing._by_vector import ByVector
from semantic_llm_cache.testing._leases import Leases
from semantic_llm_cache.testing._running import Running
from semantic_llm_cache.testing._suite import Clock
from semantic_llm_cache.testing._texts import Texts
from semantic_llm_cache.testing._upkeep import Upkeep

__all__ = ["BackendConformance", "Clock"]


class BackendConformance(AnyText, ByKey, Expiry, ByVector, Texts, Upkeep, Leases, Running):
    """The tests that every backend must pass. See the module docstring."""
