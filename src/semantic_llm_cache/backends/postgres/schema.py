"""The statements that are sent to a server.

``entries`` holds an entry and its vector in one row, under a digest of its key. ``hits`` is a table of its own,
because an update in ``entries`` would write the vector again, into its index too. A vector's column has no fixed
dimension; each dimension gets an HNSW index of its own (`make_graph`) once there are enough vectors to be
worth one. Near lookups go through functions, because a function carries the settings of a search with it: a
session's settings do not survive pgbouncer's transaction mode, and the planner must not be left to choose.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, overload

from semantic_llm_cache.backends.postgres.names import Names
from semantic_llm_cache.backends.postgres.rows import FIELDS, columns
from semantic_llm_cache.config import SCHEMA_VERSION

__all__ = ["GRAPH_DIMENSIONS", "LOCK", "Schema"]

LOCK = 0x5343_4C4C  # one lock for all tables of this package in a database, since they share the extension
GRAPH_DIMENSIONS = 4000
"""Most dimensions that pgvector indexes; vectors with more are compared one by one."""
_SINGLE_DIMENSIONS = 2000  # more only at half precision
_M, _EF_CONSTRUCTION, _EF_SEARCH, _MOST_SCANNED = 16, 96, 120, 20_000


class _Statement:
    """A statement as a template; each `Schema` fills in its `words` when the statement is first used."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, schema: None, owner: type) -> _Statement: ...
    @overload
    def __get__(self, schema: Schema, owner: type) -> str: ...
    def __get__(self, schema: Schema | None, owner: type) -> str | _Statement:
        if schema is None:
            return self
        # Kept in the instance, which is looked at before this descriptor the next time.
        filled = vars(schema)[self._name] = self._template.format_map(schema.words)
        return filled


def _delete(condition: str, now: str) -> _Statement:
    return _Statement(f"""
        WITH gone AS (DELETE FROM {{entries}} WHERE {condition} RETURNING digest, expires_at),
        counted AS (DELETE FROM {{hits}} WHERE digest IN (SELECT digest FROM gone))
        SELECT count(*) FILTER (WHERE expires_at IS NULL OR expires_at > {now}), count(*) FROM gone""")


class Schema:
    """The statements, with the names of the tables and of the extension's schema.

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
        self.columns = columns(f'"{quoted}".vector_send')
        self.stored = columns(f'"{quoted}".vector_send', counted=False)
        self.words = self._words()
        """What the templates of the statements name in braces."""

    def _words(self) -> dict[str, Any]:
        names = self.names
        size = "octet_length(key) + octet_length(prompt) + octet_length(response) + 4 * coalesce(dimension, 0)"
        return {
            "entries": names.entries,
            "hits": names.hits,
            "vectors": names.vectors,
            "counters": names.counters,
            "state": names.state,
            "leases": names.leases,
            "lease": names.lease,
            "lock": LOCK,
            "number": names.number,
            "version": SCHEMA_VERSION,
            "vector": self.vector,
            "columns": self.columns,
            "stored": self.stored,
            "joined": f"FROM {names.entries} e LEFT JOIN {names.hits} h ON h.digest = e.digest",
            "live": "(e.expires_at IS NULL OR e.expires_at > $2)",
            "fields": ", ".join(FIELDS),
            "token": f"${len(FIELDS) + 1}",
            "values": ", ".join(
                f"${n}::real[]::{self.vector}" if name == "vector" else f"${n}" for n, name in enumerate(FIELDS, 1)
            ),
            "replaced": ", ".join(f"{name} = EXCLUDED.{name}" for name in FIELDS[1:]),
            "notify": f"count(pg_notify('{names.freed_channel}', encode($1, 'hex'))) FILTER (WHERE waited)",
            "seconds_left": "extract(epoch FROM until - clock_timestamp())::float8",
            "sized": f"SELECT digest, hit_count, last_accessed, created_at, duration_ms, cost_usd, {size} AS size "
            f"FROM {names.entries}",
            "weight": "e.digest, e.hit_count + coalesce(h.hits, 0), coalesce(h.accessed, e.last_accessed, 0.0), "
            "e.created_at, e.duration_ms, e.cost_usd, e.size",
            "known": f"EXISTS (SELECT 1 FROM {names.entries} e WHERE e.digest = n.digest)",
        }

    # -------------------------------------------------------------------------------- entries

    # `get` and the near lookups may give hits as they were when the entry was stored, so they join nothing.
    get = _Statement("SELECT {stored} FROM {entries} e WHERE e.digest = $1 AND {live}")
    # The vector is fetched only where there is no live entry.
    recall = _Statement("""
        SELECT {stored}, v.vector FROM (SELECT $1::bytea AS digest) q LEFT JOIN {entries} e ON e.digest = q.digest
        LEFT JOIN {vectors} v ON v.digest = $3 AND v.expires_at > $2 AND (e.digest IS NULL OR NOT {live})""")
    get_many = _Statement("SELECT e.digest, {columns} {joined} WHERE e.digest = ANY($1::bytea[]) AND {live}")
    page = _Statement("""
        SELECT e.digest, {columns} {joined} WHERE e.digest > $1 AND {live}
        AND ($3::text IS NULL OR e.namespace = $3) ORDER BY e.digest LIMIT $4""")
    count = _Statement("SELECT count(*) FROM {entries} WHERE expires_at IS NULL OR expires_at > $1")
    count_all = _Statement("SELECT count(*) FROM {entries}")
    bytes = _Statement("SELECT pg_total_relation_size($1::text::regclass)")
    put = _Statement("""
        WITH counted AS (DELETE FROM {hits} WHERE digest = $1)
        INSERT INTO {entries} ({fields}) VALUES ({values}) ON CONFLICT (digest) DO UPDATE SET {replaced}""")
    set_vector = _Statement("""
        UPDATE {entries} SET vector = $3::real[]::{vector}, dimension = $4, embedder = $5
        WHERE digest = $1 AND prompt = $2 AND (vector IS NULL OR embedder <> $5)
        AND (expires_at IS NULL OR expires_at > $6) AND schema_version = {version} RETURNING 1""")
    delete = _delete("digest = ANY($1::bytea[])", "$2")
    delete_stored = _delete("digest = $1::bytea AND created_at = $2::float8", "$3")
    delete_page = _Statement("""
        WITH page AS MATERIALIZED (SELECT digest FROM {entries} WHERE digest > $1
        AND ($3::text IS NULL OR namespace = $3)
        AND ($4::text IS NULL OR strpos(coalesce(folded, prompt), $4) > 0)
        AND ($5::text[] IS NULL OR tags && $5) ORDER BY digest LIMIT $6),
        counted AS (DELETE FROM {hits} WHERE digest IN (SELECT digest FROM page)),
        gone AS (DELETE FROM {entries} WHERE digest IN (SELECT digest FROM page) RETURNING expires_at)
        SELECT (SELECT digest FROM page ORDER BY digest DESC LIMIT 1), (SELECT count(*) FROM page),
        count(*) FILTER (WHERE expires_at IS NULL OR expires_at > $2) FROM gone""")

    # -------------------------------------------------------------------------- vectors of texts

    make_vectors = _Statement("""
        CREATE TABLE IF NOT EXISTS {vectors} (digest bytea NOT NULL PRIMARY KEY, namespace text COLLATE "C" NOT NULL,
        expires_at double precision NOT NULL, vector bytea NOT NULL) WITH (toast_tuple_target = 4080)""")
    vectors_there = _Statement("SELECT to_regclass($1::text) IS NOT NULL")
    keep_vector = _Statement("""
        INSERT INTO {vectors} (digest, namespace, expires_at, vector) VALUES ($1, $2, $3, $4)
        ON CONFLICT (digest) DO UPDATE SET expires_at = EXCLUDED.expires_at, vector = EXCLUDED.vector""")
    clear_vectors = _Statement("DELETE FROM {vectors} WHERE $1::text IS NULL OR namespace = $1")
    sweep_vectors = _Statement("""
        DELETE FROM {vectors} WHERE expires_at <= greatest($1::float8,
        (SELECT expires_at FROM {vectors} ORDER BY expires_at DESC OFFSET $2 LIMIT 1))""")

    # --------------------------------------------------------------------------------- leases

    acquire_lease = _Statement("SELECT * FROM {lease}($1, $2, $3, $4)")
    renew_lease = _Statement("""
        UPDATE {leases} SET until = clock_timestamp() + make_interval(secs => $3)
        WHERE digest = $1 AND token = $2 RETURNING 1""")
    release_lease = _Statement("""
        WITH mine AS (DELETE FROM {leases} WHERE digest = $1 AND token = $2 RETURNING waited)
        SELECT {notify} FROM mine""")
    look_at_lease = _Statement("SELECT {seconds_left} FROM {leases} WHERE digest = $1 AND until > clock_timestamp()")
    mark_lease = _Statement("""
        UPDATE {leases} SET waited = true WHERE digest = $1 AND until > clock_timestamp() RETURNING {seconds_left}""")
    sweep_leases = _Statement("DELETE FROM {leases} WHERE until < clock_timestamp() - interval '10 minutes'")
    put_leased = _Statement("""
        WITH mine AS (DELETE FROM {leases} WHERE digest = $1 AND token = {token} RETURNING waited),
        counted AS (DELETE FROM {hits} WHERE digest = $1 AND EXISTS (SELECT 1 FROM mine)),
        stored AS (INSERT INTO {entries} ({fields}) SELECT {values} FROM mine
        ON CONFLICT (digest) DO UPDATE SET {replaced}) SELECT count(*), {notify} FROM mine""")

    # --------------------------------------------------------------------------------- bounds

    sweep = _delete(
        "digest IN (SELECT digest FROM {entries} WHERE expires_at <= $1 "
        "ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)",
        "$2",
    )
    # Rows that another process is writing stay, so that neither waits for the other.
    evict = _Statement("""
        WITH gone AS (DELETE FROM {entries} WHERE digest IN (SELECT digest FROM {entries}
        WHERE digest = ANY($1::bytea[]) FOR UPDATE SKIP LOCKED) RETURNING digest),
        counted AS (DELETE FROM {hits} WHERE digest IN (SELECT digest FROM gone)) SELECT digest FROM gone""")
    weights = _Statement("SELECT {weight} FROM ({sized}) e LEFT JOIN {hits} h ON h.digest = e.digest")
    # The sample is set apart, or the planner would look up the hits of each run on its own.
    weights_of_sample = _Statement("""
        WITH sample AS MATERIALIZED (SELECT r.* FROM unnest($1::bytea[]) AS p (start),
        LATERAL ({sized} WHERE digest >= p.start ORDER BY digest LIMIT $2) r)
        SELECT {weight} FROM sample e LEFT JOIN {hits} h ON h.digest = e.digest""")
    try_to_trim = _Statement("SELECT pg_try_advisory_xact_lock({lock}, {number})")

    # ---------------------------------------------------------------- hits, counters and state

    record_uses = _Statement("""
        INSERT INTO {hits} AS h (digest, hits, accessed)
        SELECT n.digest, 0, n.at FROM unnest($1::bytea[], $2::float8[]) AS n (digest, at)
        WHERE {known} ORDER BY n.digest
        ON CONFLICT (digest) DO UPDATE SET accessed = greatest(h.accessed, EXCLUDED.accessed)""")
    record_hits = _Statement("""
        INSERT INTO {hits} AS h (digest, hits, accessed)
        SELECT n.digest, n.hits, $3::float8 FROM unnest($1::bytea[], $2::bigint[]) AS n (digest, hits)
        WHERE {known} ORDER BY n.digest
        ON CONFLICT (digest) DO UPDATE SET hits = h.hits + EXCLUDED.hits, accessed = EXCLUDED.accessed""")
    add_counters = _Statement("""
        INSERT INTO {counters} AS c (namespace, name, value)
        SELECT $1::text, n.name, n.value FROM unnest($2::text[], $3::float8[]) AS n (name, value) ORDER BY n.name
        ON CONFLICT (namespace, name) DO UPDATE SET value = c.value + EXCLUDED.value""")
    get_counters = _Statement("SELECT namespace, name, value FROM {counters}")
    get_states = _Statement("SELECT name, value FROM {state} WHERE name = ANY($1::text[])")
    set_state = _Statement("""
        INSERT INTO {state} (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value""")
    list_states = _Statement("SELECT name FROM {state} WHERE starts_with(name, $1)")
    drop_state = _Statement("DELETE FROM {state} WHERE name = $1")

    # ----------------------------------------------------------------------------------- near

    @cached_property
    def near_exact(self) -> str:
        """The statement that compares all vectors of a scope one by one."""
        return self._near(self.names.near_exact, "$8")

    def near(self, dimension: int) -> str:
        """Return the statement that searches the vectors of a dimension by their graph."""
        return self._near(self.names.near(dimension), None)

    def _near(self, function: str, most: str | None) -> str:
        # $1 vector, $2 scope, $3 embedder, $4 namespace, $5 time, $6 how many, $7 largest distance, $8 most compared
        arguments = f"$1::real[]::{self.vector}, $2, $3, $4, $5, $6" + (f", {most}" if most else "")
        return (
            f"SELECT n.found_of, {self.stored} FROM {function}({arguments}) n "
            f"LEFT JOIN {self.names.entries} e ON e.digest = n.found AND n.distance <= $7::float8"
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
