"""The contract, over PostgreSQL 18 and 16, and through pgbouncer in transaction mode."""

from postgres_servers import bouncer_url, own_schema, server_url

from semantic_llm_cache.backends.postgres import PostgresBackend
from semantic_llm_cache.testing import BackendConformance


class TestPostgres18(BackendConformance):
    def address(self):
        return server_url(18)

    def make_backend(self, clock):
        url = self.address()
        return PostgresBackend(url, schema=own_schema(url), clock=clock)


class TestPostgres16(TestPostgres18):
    def address(self):
        return server_url(16)


class TestPgBouncer(TestPostgres18):
    """Statements stay prepared: pgbouncer 1.21 and later see to that."""

    def address(self):
        return bouncer_url()


class TestPgBouncerUnprepared(TestPostgres18):
    """As with an older pgbouncer."""

    def make_backend(self, clock):
        url = bouncer_url(("max_prepared_statements = 0",))
        return PostgresBackend(url, schema=own_schema(url), clock=clock, prepared_statements=False)
