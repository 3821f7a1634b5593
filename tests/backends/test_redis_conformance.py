"""The contract, over Redis in its three ways and over a cluster."""

from redis_servers import own_prefix, server_url

from semantic_llm_cache.backends.redis import RedisBackend
from semantic_llm_cache.testing import BackendConformance


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
