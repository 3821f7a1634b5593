"""Creating what is needed in the database: by the first process, under a lock, and again where a part was lost."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from semantic_llm_cache.backends.postgres.names import Names
from semantic_llm_cache.backends.postgres.parts import Part, parts
from semantic_llm_cache.backends.postgres.schema import LOCK, Schema
from semantic_llm_cache.exceptions import CacheBackendError

__all__ = ["LAYOUT_VERSION", "SetUp", "complete", "graphs_there", "lost_indexes", "make_graph", "make_index", "set_up"]

LAYOUT_VERSION = 2
_OLDEST_PGVECTOR = (0, 8)
_OLDEST_SERVER = 130000
_BUILD_SECONDS = 86_400.0
_SETUP_SECONDS = 300.0


class SetUp(NamedTuple):
    """What `set_up` has found or made.

    Attributes:
        schema: the statements.
        made: names of the parts that were made.
        fresh: whether there was nothing before, or an older version: then nothing had been lost.
    """

    schema: Schema
    made: list[str]
    fresh: bool


_LOOK = """
SELECT current_setting('server_encoding') AS encoding, current_setting('server_version_num')::integer AS server,
  (SELECT n.nspname FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
   WHERE x.extname = 'vector')::text AS extension,
  (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'vector') AS version,
  to_regnamespace($1::text) IS NOT NULL AS schema, ARRAY(
    SELECT CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'i' THEN 'index ' ELSE 'other ' END || c.relname FROM pg_class c
    WHERE c.relnamespace = to_regnamespace($1::text) AND c.relname = ANY($2::text[])
    UNION ALL SELECT 'function ' || p.proname FROM pg_proc p
    WHERE p.pronamespace = to_regnamespace($1::text) AND p.proname = ANY($2::text[])
    UNION ALL SELECT 'trigger ' || t.tgname FROM pg_trigger t
    WHERE t.tgrelid = to_regclass($3::text) AND NOT t.tgisinternal
    UNION ALL SELECT 'column ' || c.relname || '.' || a.attname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = to_regnamespace($1::text) AND c.relkind = 'r' AND c.relname = ANY($2::text[])
      AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT 'key ' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE i.indisprimary AND c.relnamespace = to_regnamespace($1::text) AND c.relname = ANY($2::text[])
  ) AS parts
"""


class _Seen(NamedTuple):
    extension: str | None
    schema: bool
    parts: frozenset[str]
    layout: int


async def complete(connection: Any, names: Names) -> Schema | None:
    """Return the statements for what is there; None when `set_up` has something to do.

    Raises:
        CacheBackendError: too old a server or pgvector, a newer version of the tables.
        Exception: of the driver.
    """
    seen = await _look(connection, names)
    if seen.extension is None or seen.layout != LAYOUT_VERSION:
        return None
    schema = Schema(names, seen.extension)
    return None if _missing(schema, seen.parts) else schema


async def set_up(connection: Any, names: Names, *, renew: bool = False) -> SetUp:
    """Make or renew what is missing or old.

    Args:
        connection: to the server.
        names: of the tables.
        renew: create functions and triggers again although they are there, because they did not work.

    Raises:
        CacheBackendError: as for `complete`; no pgvector; tables of another program.
        Exception: of the driver.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=_SETUP_SECONDS)
        return await _make(connection, names, renew=renew)


def _missing(schema: Schema, there: Iterable[str], *, indexes: bool = False) -> list[Part]:
    """Return the parts that are not there; without `indexes`, no index of a table that may be large."""
    known = frozenset(there)
    entries = f"table {schema.names.prefix}entries"
    return [
        part
        for part in parts(schema)
        if part.name not in known and (indexes or entries not in known or not part.name.startswith("index "))
    ]


async def _look(connection: Any, names: Names) -> _Seen:
    probe = parts(Schema(names, "public"))  # for the names alone
    listed = sorted({part.name.partition(" ")[2] for part in probe})
    row = await connection.fetchrow(_LOOK, f'"{names.schema}"', listed, names.entries)
    if row["encoding"] != "UTF8":
        raise CacheBackendError(f"the database has the encoding {row['encoding']}: PostgresBackend needs one in UTF8")
    if row["server"] < _OLDEST_SERVER:
        raise CacheBackendError(f"the server is of version {row['server'] // 10000}: PostgresBackend needs 13 or later")
    version = row["version"]
    if version is not None and tuple(int(n) for n in re.findall(r"\d+", version)[:2]) < _OLDEST_PGVECTOR:
        raise CacheBackendError(f"pgvector {version} is too old, 0.8 is needed: ALTER EXTENSION vector UPDATE")
    there = frozenset(row["parts"])
    layout = 0
    if f"column {names.prefix}layout.version" in there:
        layout = int(await connection.fetchval(f"SELECT coalesce(max(version), 0) FROM {names.layout}"))
    if layout > LAYOUT_VERSION:
        raise CacheBackendError(
            f"the tables in the schema {names.schema} are of version {layout}, made by a newer semantic-llm-cache; "
            f"this one knows {LAYOUT_VERSION}: update it, or name another schema="
        )
    return _Seen(row["extension"], row["schema"], there, layout)


async def _make(connection: Any, names: Names, *, renew: bool) -> SetUp:
    seen = await _look(connection, names)  # another process may have done it meanwhile
    extension = seen.extension
    if extension is None:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        extension = (await _look(connection, names)).extension
        assert extension is not None
    # Checked first: a user who may not create schemas may still use an existing one.
    if not seen.schema:
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{names.schema}"')
    schema = Schema(names, extension)
    missing = _missing(schema, seen.parts)
    _check_ours(names, seen, missing)
    for part in parts(schema):
        kind, _, name = part.name.partition(" ")
        table = f"table {name.partition('.')[0]}"
        if kind in ("column", "key"):
            if part in missing and table in seen.parts:  # else it came with its table
                await connection.execute(part.restore, timeout=_SETUP_SECONDS)
        elif part in missing or (renew and kind in ("function", "trigger")):
            await connection.execute(part.make, timeout=_SETUP_SECONDS)
    if renew:
        for dimension in await graphs_there(connection, schema):
            await connection.execute(schema.graph_function(dimension))
    for version in range(seen.layout + 1, LAYOUT_VERSION + 1):
        await connection.execute(f"INSERT INTO {names.layout} (version) VALUES ($1)", version)
    fresh = not seen.parts or 0 < seen.layout < LAYOUT_VERSION
    return SetUp(schema, [part.name for part in missing if _is_reported(part, seen)], fresh)


def _is_reported(part: Part, seen: _Seen) -> bool:
    kind, _, name = part.name.partition(" ")
    return kind not in ("column", "key") or f"table {name.partition('.')[0]}" in seen.parts


def _check_ours(names: Names, seen: _Seen, missing: list[Part]) -> None:
    """Raise CacheBackendError where a table has one of our names but is not ours."""
    if seen.layout:
        return
    for part in missing:
        kind, _, name = part.name.partition(" ")
        table = name.partition(".")[0]
        if kind == "column" and f"table {table}" in seen.parts and table != f"{names.prefix}layout":
            raise CacheBackendError(
                f"the schema {names.schema} holds a table {table} that is not of this package, or lacks its column "
                f"{name.partition('.')[2]}: name another schema= or prefix=, or drop that table"
            )


# ---------------------------------------------------------------------------------- indexes


async def lost_indexes(connection: Any, schema: Schema) -> list[Part] | None:
    """Return the indexes that are missing; None when more than indexes is."""
    seen = await _look(connection, schema.names)
    if seen.extension is None or seen.layout != LAYOUT_VERSION or _missing(schema, seen.parts):
        return None
    return _missing(schema, seen.parts, indexes=True)


async def graphs_there(connection: Any, schema: Schema) -> set[int]:
    """Return the dimensions whose vectors have a graph that is complete."""
    names = schema.names
    rows = await connection.fetch(
        "SELECT substring(c.relname FROM '[0-9]+$')::integer FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = to_regclass($1::text) AND i.indisvalid AND c.relname ~ ('^' || $2 || '[0-9]+$') "
        "AND EXISTS (SELECT 1 FROM pg_proc p WHERE p.pronamespace = to_regnamespace($3::text) "
        "AND p.proname = $4 || substring(c.relname FROM '[0-9]+$'))",
        names.entries,
        names.index("graph_"),
        f'"{names.schema}"',
        f"{names.prefix}near_",
    )
    return {row[0] for row in rows}


async def make_graph(connection: Any, schema: Schema, dimension: int) -> bool:
    """Make the graph of a dimension, without blocking reads and writes; return whether it is there now.

    False while another process makes it. An index left incomplete by a process that died is removed first.
    """
    name = schema.names.index(f"graph_{dimension}")
    if not await make_index(connection, schema, name, schema.graph_index(dimension, name)):
        return False
    await connection.execute(schema.graph_function(dimension))
    return True


async def make_index(connection: Any, schema: Schema, name: str, statement: str) -> bool:
    """Make an index of the entries with a statement that blocks nothing; return whether it is there now."""
    look = (
        "SELECT i.indisvalid, EXISTS (SELECT 1 FROM pg_stat_progress_create_index p "
        "WHERE p.index_relid = i.indexrelid OR p.relid = i.indrelid) "
        "FROM pg_index i WHERE i.indexrelid = to_regclass($1::text)"
    )
    qualified = f'"{schema.names.schema}"."{name}"'
    state = await connection.fetchrow(look, qualified)
    if state is not None and not state[0]:
        if state[1]:
            return False
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {qualified}", timeout=_BUILD_SECONDS)
        state = None
    if state is None:
        await connection.execute(statement, timeout=_BUILD_SECONDS)
        state = await connection.fetchrow(look, qualified)
    return state is not None and bool(state[0])
