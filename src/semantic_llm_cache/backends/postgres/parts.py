"""What there is in the database: tables, indexes, functions and triggers, each with the statement that makes it.

The statements do no harm to a part that is there already, so each can be made again when it was lost. A column
that comes back is filled with what is harmless to an entry, if there is such a value; if not, the table is
emptied: an entry without its scope or its time must not be served.
"""

from __future__ import annotations

from dataclasses import dataclass

from semantic_llm_cache.backends.postgres.schema import Schema

__all__ = ["Part", "parts"]

_MOST_TOLD = 5000  # deleted by one statement; of more it is only told that something was


@dataclass(frozen=True)
class Part:
    """One thing in the database.

    Attributes:
        name: kind and name, as the catalog query of `_postgres_setup` gives them.
        make: statement that makes it, with no effect on one that is there.
        restore: statement that makes it where it was lost, if that takes another one.
    """

    name: str
    make: str
    restore: str = ""


def parts(schema: Schema) -> tuple[Part, ...]:
    """Return all parts, in the order in which they can be made."""
    names = schema.names
    made: list[Part] = []
    for table, columns in _tables(schema).items():
        made += _table(schema, table, columns)
    for index, definition in (
        ("place", "(scope, embedder, dimension) WHERE dimension IS NOT NULL"),
        ("namespace", "(namespace)"),
        ("expiry", "(expires_at) WHERE expires_at IS NOT NULL"),
        ("tags", "USING gin (tags) WHERE tags <> '{}'"),
    ):
        name = names.index(index)
        made.append(Part(f"index {name}", f'CREATE INDEX IF NOT EXISTS "{name}" ON {names.entries} {definition}'))
    for function, statement in (
        ("near_exact", _exact_function(schema)), ("lease", _lease_function(schema)), ("tell", _tell_function(schema)),
    ):  # fmt: skip
        made.append(Part(f"function {names.prefix}{function}", statement))
    for trigger, when in (
        ("replaced", "AFTER UPDATE ON {} FOR EACH ROW"),
        ("deleted", "AFTER DELETE ON {} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT"),
        ("emptied", "AFTER TRUNCATE ON {} FOR EACH STATEMENT"),
    ):
        name = f"{names.prefix}{trigger}"
        made.append(
            Part(
                f"trigger {name}",
                f'DROP TRIGGER IF EXISTS "{name}" ON {names.entries}; '
                f'CREATE TRIGGER "{name}" {when.format(names.entries)} EXECUTE FUNCTION {names.tell}()',
            )
        )
    return tuple(made)


# ---------------------------------------------------------------------------------- tables

_Column = tuple[str, str, str | None]
"""Name, type, and what to fill it with where it was lost; None is nothing that would be harmless."""


def _tables(schema: Schema) -> dict[str, tuple[_Column, ...]]:
    number, whole = "double precision NOT NULL", "bigint NOT NULL"
    return {
        "layout": (("version", "integer NOT NULL", None), ("at", "timestamptz NOT NULL DEFAULT now()", "now()")),
        "entries": (
            ("digest", "bytea NOT NULL", None),
            ("key", "text NOT NULL", None),
            ("prompt", "text NOT NULL", None),
            ("folded", "text", "NULL"),
            ("response", "text NOT NULL", None),
            ("vector", schema.vector, "NULL"),
            ("dimension", "integer", "NULL"),
            ("created_at", number, None),
            ("ttl", "double precision", None),
            ("expires_at", "double precision", None),
            ("namespace", 'text COLLATE "C" NOT NULL', None),
            ("hit_count", whole, "0"),
            ("input_tokens", whole, "0"),
            ("output_tokens", whole, "0"),
            ("last_accessed", "double precision", "NULL"),
            ("scope", 'text COLLATE "C" NOT NULL', None),
            ("embedder", 'text COLLATE "C" NOT NULL', None),
            ("kind", "text NOT NULL", None),
            ("tags", "text[] NOT NULL", None),
            ("aliases", "text[] NOT NULL", "'{}'"),
            ("duration_ms", number, "0"),
            ("cost_usd", number, "0"),
            ("schema_version", "integer NOT NULL", None),
        ),
        "hits": (("digest", "bytea NOT NULL", None), ("hits", whole, "0"), ("accessed", number, None)),
        "counters": (("namespace", "text NOT NULL", None), ("name", "text NOT NULL", None), ("value", number, None)),
        "state": (("name", "text NOT NULL", None), ("value", "bytea NOT NULL", None)),
        "leases": (
            ("digest", "bytea NOT NULL", None),
            ("token", "text NOT NULL", None),
            ("until", "timestamptz NOT NULL", None),
            ("waited", "boolean NOT NULL DEFAULT false", "false"),
        ),
    }


_KEYS = {"entries": "digest", "hits": "digest", "counters": "namespace, name", "state": "name", "leases": "digest"}
_SETTINGS = {
    "entries": "WITH (toast_tuple_target = 4080, autovacuum_vacuum_scale_factor = 0.05, "
    "autovacuum_analyze_scale_factor = 0.02)",
    "hits": "WITH (fillfactor = 50)",
    "counters": "WITH (fillfactor = 50)",
    "leases": "WITH (fillfactor = 50)",
}


def _table(schema: Schema, table: str, columns: tuple[_Column, ...]) -> list[Part]:
    names = schema.names
    own = f"{names.prefix}{table}"
    qualified = f'"{names.schema}"."{own}"'
    listed = [f"{name} {kind}" for name, kind, _ in columns]
    key = _KEYS.get(table)
    if key:
        listed.append(f"PRIMARY KEY ({key})")
    unlogged = "UNLOGGED " if table == "leases" else ""
    make = f"CREATE {unlogged}TABLE IF NOT EXISTS {qualified} ({', '.join(listed)}) {_SETTINGS.get(table, '')}"
    if table == "entries":
        make += f"; ALTER TABLE {qualified} ALTER COLUMN vector SET STORAGE MAIN"
    made = [Part(f"table {own}", make)]
    made += [Part(f"column {own}.{column[0]}", "", _restored(schema, qualified, column)) for column in columns]
    if key:
        made.append(Part(f"key {own}", "", f"ALTER TABLE {qualified} ADD PRIMARY KEY ({key})"))
    return made


def _restored(schema: Schema, table: str, column: _Column) -> str:
    """Return the statements that bring back a column."""
    name, kind, filling = column
    if filling is None:
        return f"TRUNCATE {table}; ALTER TABLE {table} ADD COLUMN {name} {kind}"
    statements = f"ALTER TABLE {table} ADD COLUMN {name} {kind}"
    if "DEFAULT" not in kind:
        statements += f" DEFAULT {filling}; ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT"
    if name == "vector":  # the entries are found by key, as if they had been stored without
        statements += (
            f"; ALTER TABLE {table} ALTER COLUMN vector SET STORAGE MAIN"
            f"; UPDATE {table} SET dimension = NULL WHERE dimension IS NOT NULL"
        )
    elif name == "dimension":
        statements += (
            f"; UPDATE {table} SET dimension = {schema.operators}.vector_dims(vector) WHERE vector IS NOT NULL"
        )
    return statements


# -------------------------------------------------------------------------------- functions


def _lease_function(schema: Schema) -> str:
    names = schema.names
    return f"""
CREATE OR REPLACE FUNCTION {names.lease}(p_digest bytea, p_token text, p_seconds float8, p_now float8)
RETURNS TABLE (taken boolean, holder text, runs float8, answered boolean)
LANGUAGE plpgsql VOLATILE ROWS 1 AS $body$
BEGIN
  INSERT INTO {names.leases} AS l (digest, token, until)
  VALUES (p_digest, p_token, clock_timestamp() + make_interval(secs => p_seconds))
  ON CONFLICT (digest) DO UPDATE SET token = EXCLUDED.token, until = EXCLUDED.until
  WHERE l.until <= clock_timestamp() OR l.token = EXCLUDED.token;
  IF FOUND THEN
    RETURN QUERY SELECT true, p_token, p_seconds, EXISTS (SELECT 1 FROM {names.entries} e
      WHERE e.digest = p_digest AND (e.expires_at IS NULL OR e.expires_at > p_now));
  ELSE
    RETURN QUERY SELECT false, l.token, extract(epoch FROM l.until - clock_timestamp())::float8, false
      FROM {names.leases} l WHERE l.digest = p_digest;
  END IF;
END $body$"""


def _tell_function(schema: Schema) -> str:
    names = schema.names
    changed = f"pg_notify('{names.changed_channel}', %s)"
    return f"""
CREATE OR REPLACE FUNCTION {names.tell}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM {changed % "encode(OLD.digest, 'hex')"};
  ELSIF TG_OP = 'TRUNCATE' THEN
    PERFORM {changed % "'*'"};
  ELSIF (SELECT count(*) FROM gone) > {_MOST_TOLD} THEN
    PERFORM {changed % "'*'"};
  ELSE
    PERFORM {changed % "string_agg(encode(p.digest, 'hex'), ' ')"}
      FROM (SELECT g.digest, (row_number() OVER () - 1) / 200 AS page FROM gone g) p GROUP BY p.page;
  END IF;
  RETURN NULL;
END $body$"""


def _exact_function(schema: Schema) -> str:
    select = f"""
    RETURN QUERY WITH place AS MATERIALIZED (
      SELECT e.digest, (e.vector {schema.product} p_query)::float8 AS apart FROM {schema.names.entries} e
      WHERE %s e.dimension = p_dimension AND (e.expires_at IS NULL OR e.expires_at > p_now)
        AND (p_namespace IS NULL OR e.namespace = p_namespace)
      LIMIT p_most
    ) SELECT p.digest, p.apart, (SELECT count(*) FROM place) FROM place p ORDER BY p.apart LIMIT p_count;"""
    return f"""
CREATE OR REPLACE FUNCTION {schema.names.near_exact}(p_query {schema.vector}, p_scope text, p_embedder text,
  p_namespace text, p_now float8, p_count integer, p_most bigint)
RETURNS TABLE (found bytea, distance float8, found_of bigint)
LANGUAGE plpgsql STABLE ROWS 8 SET enable_seqscan = off SET jit = off AS $body$
DECLARE p_dimension CONSTANT integer := {schema.operators}.vector_dims(p_query);
BEGIN
  IF p_scope IS NOT NULL AND p_embedder IS NOT NULL THEN
    {select % "e.scope = p_scope AND e.embedder = p_embedder AND"}
  ELSE
    {select % "(p_scope IS NULL OR e.scope = p_scope) AND (p_embedder IS NULL OR e.embedder = p_embedder) AND"}
  END IF;
END $body$"""
