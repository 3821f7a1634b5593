"""The statements that are sent to a server, and the names of what they work on.

``entries`` holds an entry and its vector in one row, under a digest of its key. ``hits`` counts apart from
it: an update in ``entries`` would write the vector anew, into its index too. A vector's column has no fixed
dimension; each dimension gets an HNSW index of its own (`make_graph`) once there are enough vectors to be
worth one. Near lookups go through functions because these carry the settings of a search with
them: a session's own do not survive pgbouncer's transaction mode, and the planner may not be left to choose.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from semantic_llm_cache.backends.postgres.rows import FIELDS, columns
from semantic_llm_cache.config import SCHEMA_VERSION

__all__ = ["GRAPH_DIMENSIONS", "LOCK", "Names", "Schema", "check_identifier"]

LOCK = 0x5343_4C4C  # one lock for all of ours in a database, since they share the extension
GRAPH_DIMENSIONS = 4000
"""Most dimensions that pgvector indexes; vectors with more are compared one by one."""
_SINGLE_DIMENSIONS = 2000  # more only at half precision
_M, _EF_CONSTRUCTION, _EF_SEARCH, _MOST_SCANNED = 16, 96, 120, 20_000
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def check_identifier(text: Any, name: str, *, empty: bool = False) -> str:
    """Return a schema's name or a prefix. ValueError for what would have to be quoted, or is too long."""
    if not isinstance(text, str) or len(text) > 32 or (not _IDENTIFIER.match(text) and not (empty and not text)):
        raise ValueError(f"{name}={text!r} must be letters, digits and underscores, 32 at most, no digit first")
    return text


class Names:
    """The names of all that is ours."""

    def __init__(self, schema: str, prefix: str) -> None:
        self.schema = schema
        self.prefix = prefix
        self.entries, self.hits, self.counters, self.state, self.layout = (
            f'"{schema}"."{prefix}{table}"' for table in ("entries", "hits", "counters", "state", "layout")
        )
        self.near_exact = f'"{schema}"."{prefix}near_exact"'
        self.leases, self.lease, self.tell = (f'"{schema}"."{prefix}{what}"' for what in ("leases", "lease", "tell"))
        ours = hashlib.blake2b(f"{schema}.{prefix}".encode(), digest_size=10).hexdigest()
        self.number = int(ours[:7], 16)
        """Stands for them where a lock wants a number."""
        # Channels belong to the whole database, and their names are short.
        self.changed_channel, self.freed_channel = f"slc_{ours}_changed", f"slc_{ours}_freed"

    def index(self, what: str) -> str:
        """Return the name of an index of the entries, without the schema."""
        return f"{self.prefix}entries_{what}"

    def near(self, dimension: int) -> str:
        """Return the function that searches the vectors of a dimension by their graph."""
        return f'"{self.schema}"."{self.prefix}near_{dimension}"'


class Schema:
    """The statements, for where the tables and the extension are.

    Args:
        names: of the tables.
        extension: schema that pgvector is in.
    """

    def __init__(self, names: Names, extension: str) -> None:
        self.names = names
        quoted = extension.replace('"', '""')
        self.extension = extension
        self.vector = f'"{quoted}".vector'
        self.halfvec = f'"{quoted}".halfvec'
        self.product = f'OPERATOR("{quoted}".<#>)'
        self.operators = f'"{quoted}"'
        entries, hits = names.entries, names.hits
        self.columns = columns(f'"{quoted}".vector_send')
        joined = f"FROM {entries} e LEFT JOIN {hits} h ON h.digest = e.digest"
        live = "(e.expires_at IS NULL OR e.expires_at > $2)"
        self.get = f"SELECT {self.columns} {joined} WHERE e.digest = $1 AND {live}"
        self.get_many = f"SELECT e.digest, {self.columns} {joined} WHERE e.digest = ANY($1::bytea[]) AND {live}"
        self.page = (
            f"SELECT e.digest, {self.columns} {joined} WHERE e.digest > $1 AND {live} "
            "AND ($3::text IS NULL OR e.namespace = $3) ORDER BY e.digest LIMIT $4"
        )
        values = ", ".join(
            f"${n}::real[]::{self.vector}" if name == "vector" else f"${n}" for n, name in enumerate(FIELDS, 1)
        )
        renewed = ", ".join(f"{name} = EXCLUDED.{name}" for name in FIELDS[1:])
        self.put = (
            f"WITH counted AS (DELETE FROM {hits} WHERE digest = $1) "
            f"INSERT INTO {entries} ({', '.join(FIELDS)}) VALUES ({values}) "
            f"ON CONFLICT (digest) DO UPDATE SET {renewed}"
        )
        leases, last = names.leases, f"${len(FIELDS) + 1}"
        tell = f"count(pg_notify('{names.freed_channel}', encode($1, 'hex'))) FILTER (WHERE waited)"
        self.put_leased = (
            f"WITH mine AS (DELETE FROM {leases} WHERE digest = $1 AND token = {last} RETURNING waited), "
            f"counted AS (DELETE FROM {hits} WHERE digest = $1 AND EXISTS (SELECT 1 FROM mine)), "
            f"stored AS (INSERT INTO {entries} ({', '.join(FIELDS)}) SELECT {values} FROM mine "
            f"ON CONFLICT (digest) DO UPDATE SET {renewed}) SELECT count(*), {tell} FROM mine"
        )
        self.set_vector = (
            f"UPDATE {entries} SET vector = $3::real[]::{self.vector}, dimension = $4, embedder = $5 "
            "WHERE digest = $1 AND prompt = $2 AND (vector IS NULL OR embedder <> $5) "
            f"AND (expires_at IS NULL OR expires_at > $6) AND schema_version = {SCHEMA_VERSION} RETURNING 1"
        )
        self.acquire_lease = f"SELECT * FROM {names.lease}($1, $2, $3, $4)"
        self.renew_lease = (
            f"UPDATE {leases} SET until = clock_timestamp() + make_interval(secs => $3) "
            "WHERE digest = $1 AND token = $2 RETURNING 1"
        )
        self.release_lease = (
            f"WITH mine AS (DELETE FROM {leases} WHERE digest = $1 AND token = $2 RETURNING waited) "
            f"SELECT {tell} FROM mine"
        )
        runs = "extract(epoch FROM until - clock_timestamp())::float8"
        among = f"{leases} WHERE digest = $1 AND until > clock_timestamp()"
        self.look_at_lease = f"SELECT {runs} FROM {among}"
        self.mark_lease = f"UPDATE {among.replace(' WHERE', ' SET waited = true WHERE')} RETURNING {runs}"
        self.sweep_leases = f"DELETE FROM {leases} WHERE until < clock_timestamp() - interval '10 minutes'"
        self.delete = self._delete("digest = ANY($1::bytea[])", "$2")
        self.delete_page = (
            f"WITH page AS MATERIALIZED (SELECT digest FROM {entries} WHERE digest > $1 "
            "AND ($3::text IS NULL OR namespace = $3) "
            "AND ($4::text IS NULL OR strpos(coalesce(folded, prompt), $4) > 0) "
            "AND ($5::text[] IS NULL OR tags && $5) ORDER BY digest LIMIT $6), "
            f"counted AS (DELETE FROM {hits} WHERE digest IN (SELECT digest FROM page)), "
            f"gone AS (DELETE FROM {entries} WHERE digest IN (SELECT digest FROM page) RETURNING expires_at) "
            "SELECT (SELECT digest FROM page ORDER BY digest DESC LIMIT 1), (SELECT count(*) FROM page), "
            "count(*) FILTER (WHERE expires_at IS NULL OR expires_at > $2) FROM gone"
        )
        self.sweep = self._delete(
            f"digest IN (SELECT digest FROM {entries} WHERE expires_at <= $1 "
            "ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)",
            "$2",
        )
        # Rows that somebody is writing stay: nobody waits for us, nor we for him.
        self.evict = (
            f"WITH gone AS (DELETE FROM {entries} WHERE digest IN (SELECT digest FROM {entries} "
            "WHERE digest = ANY($1::bytea[]) FOR UPDATE SKIP LOCKED) RETURNING digest), "
            f"counted AS (DELETE FROM {hits} WHERE digest IN (SELECT digest FROM gone)) SELECT digest FROM gone"
        )
        size = "octet_length(key) + octet_length(prompt) + octet_length(response) + 4 * coalesce(dimension, 0)"
        sized = (
            f"SELECT digest, hit_count, last_accessed, created_at, duration_ms, cost_usd, {size} AS size FROM {entries}"
        )
        weighed = (
            "SELECT e.digest, e.hit_count + coalesce(h.hits, 0), coalesce(h.accessed, e.last_accessed, 0.0), "
            f"e.created_at, e.duration_ms, e.cost_usd, e.size FROM %s e LEFT JOIN {hits} h ON h.digest = e.digest"
        )
        self.weights = weighed % f"({sized})"
        runs = f"unnest($1::bytea[]) AS p (start), LATERAL ({sized} WHERE digest >= p.start ORDER BY digest LIMIT $2) r"
        # Set apart, for the planner would look for the hits of each run by itself.
        self.weights_of_sample = f"WITH sample AS MATERIALIZED (SELECT r.* FROM {runs}) {weighed % 'sample'}"
        self.try_to_trim = f"SELECT pg_try_advisory_xact_lock({LOCK}, {names.number})"
        self.count_all = f"SELECT count(*) FROM {entries}"
        self.record_uses = (
            f"INSERT INTO {hits} AS h (digest, hits, accessed) "
            "SELECT n.digest, 0, n.at FROM unnest($1::bytea[], $2::float8[]) AS n (digest, at) "
            f"WHERE EXISTS (SELECT 1 FROM {entries} e WHERE e.digest = n.digest) ORDER BY n.digest "
            "ON CONFLICT (digest) DO UPDATE SET accessed = greatest(h.accessed, EXCLUDED.accessed)"
        )
        self.record_hits = (
            f"INSERT INTO {hits} AS h (digest, hits, accessed) "
            f"SELECT n.digest, n.hits, $3::float8 FROM unnest($1::bytea[], $2::bigint[]) AS n (digest, hits) "
            f"WHERE EXISTS (SELECT 1 FROM {entries} e WHERE e.digest = n.digest) ORDER BY n.digest "
            "ON CONFLICT (digest) DO UPDATE SET hits = h.hits + EXCLUDED.hits, accessed = EXCLUDED.accessed"
        )
        self.add_counters = (
            f"INSERT INTO {names.counters} AS c (namespace, name, value) "
            "SELECT $1::text, n.name, n.value FROM unnest($2::text[], $3::float8[]) AS n (name, value) ORDER BY n.name "
            "ON CONFLICT (namespace, name) DO UPDATE SET value = c.value + EXCLUDED.value"
        )
        self.get_counters = f"SELECT namespace, name, value FROM {names.counters}"
        self.get_state = f"SELECT value FROM {names.state} WHERE name = $1"
        self.set_state = (
            f"INSERT INTO {names.state} (name, value) VALUES ($1, $2) "
            "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value"
        )
        self.list_states = f"SELECT name FROM {names.state} WHERE starts_with(name, $1)"
        self.drop_state = f"DELETE FROM {names.state} WHERE name = $1"
        self.count = f"SELECT count(*) FROM {entries} WHERE expires_at IS NULL OR expires_at > $1"
        self.bytes = "SELECT pg_total_relation_size($1::text::regclass)"
        self.near_exact = self._near(names.near_exact, "$8")

    def near(self, dimension: int) -> str:
        """Return the statement that searches the vectors of a dimension by their graph."""
        return self._near(self.names.near(dimension), None)

    def _near(self, function: str, most: str | None) -> str:
        # $1 vector, $2 scope, $3 embedder, $4 namespace, $5 time, $6 how many, $7 largest distance, $8 most compared
        arguments = f"$1::real[]::{self.vector}, $2, $3, $4, $5, $6" + (f", {most}" if most else "")
        return (
            f"SELECT n.found_of, {self.columns} FROM {function}({arguments}) n "
            f"LEFT JOIN {self.names.entries} e ON e.digest = n.found AND n.distance <= $7::float8 "
            f"LEFT JOIN {self.names.hits} h ON h.digest = e.digest"
        )

    def _delete(self, condition: str, now: str) -> str:
        return (
            f"WITH gone AS (DELETE FROM {self.names.entries} WHERE {condition} RETURNING digest, expires_at), "
            f"counted AS (DELETE FROM {self.names.hits} WHERE digest IN (SELECT digest FROM gone)) "
            f"SELECT count(*) FILTER (WHERE expires_at IS NULL OR expires_at > {now}), count(*) FROM gone"
        )

    # --------------------------------------------------------------------------------- graphs

    def graph_index(self, dimension: int, name: str) -> str:
        """Return the statement that makes the graph of a dimension."""
        kind = "vector" if dimension <= _SINGLE_DIMENSIONS else "halfvec"
        typed = f"(vector::{self.operators}.{kind}({dimension}))"
        return (
            f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{name}" ON {self.names.entries} '
            f"USING hnsw ({typed} {self.operators}.{kind}_ip_ops) "
            f"WITH (m = {_M}, ef_construction = {_EF_CONSTRUCTION}) WHERE dimension = {dimension}"
        )

    def graph_function(self, dimension: int) -> str:
        """Return the statement that makes the function that searches by the graph."""
        typed = f"{self.vector if dimension <= _SINGLE_DIMENSIONS else self.halfvec}({dimension})"
        # Off is whatever would sort all vectors instead of walking through the graph.
        return f"""
CREATE OR REPLACE FUNCTION {self.names.near(dimension)}(p_query {self.vector}, p_scope text, p_embedder text,
  p_namespace text, p_now float8, p_count integer)
RETURNS TABLE (found bytea, distance float8, found_of bigint)
LANGUAGE plpgsql STABLE ROWS 8 SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET hnsw.iterative_scan = strict_order SET hnsw.ef_search = {_EF_SEARCH} SET hnsw.max_scan_tuples = {_MOST_SCANNED}
AS $body$
BEGIN
  RETURN QUERY SELECT e.digest, (e.vector {self.product} p_query)::float8, NULL::bigint FROM {self.names.entries} e
  WHERE e.dimension = {dimension} AND (p_scope IS NULL OR e.scope = p_scope)
    AND (p_embedder IS NULL OR e.embedder = p_embedder) AND (p_namespace IS NULL OR e.namespace = p_namespace)
    AND (e.expires_at IS NULL OR e.expires_at > p_now)
  ORDER BY (e.vector::{typed}) {self.product} (p_query::{typed}) LIMIT p_count;
END $body$;"""
