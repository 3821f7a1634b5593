"""The contract, over Redis in its three ways and over a cluster."""

import pytest
from redis_servers import own_prefix, server_url

from semantic_llm_cache.backends.redis import RedisBackend, plain
from semantic_llm_cache.testing import BackendConformance


@pytest.fixture(autouse=True)
def _the_first_copy_is_waited_for(monkeypatch):
    """On a busy machine the first copy of the vectors takes longer than half a second, and a search misses some."""
    monkeypatch.setattr(plain, "_PATIENCE", 30.0)


class TestSearchModule(BackendConformance):
    server = "search"
    way = "search"

    def make_backend(self, clock):
        backend = RedisBackend(server_url(self.server), prefix=own_prefix(), search=self.way, clock=clock)
        assert backend.way is None
        return backend


class TestVectorSets(TestSearchModule):
    server = way = "vectorset"


class TestPlain(TestSearchModule):
    server = way = "plain"


class TestVectorSetsOnACluster(TestSearchModule):
    server, way = "cluster", "vectorset"


class TestPlainOnACluster(TestSearchModule):
    server, way = "cluster", "plain"
