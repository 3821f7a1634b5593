"""Parts of the schema that somebody drops while it is in use are made again, without a restart."""

import asyncio
import logging

import numpy as np
import pytest
from faults import LIMITS, X, entry
from postgres_servers import execute, own_schema, server_url

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.backends import PostgresBackend
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.storage.records import Text

TABLES = ("entries", "hits", "counters", "state", "layout", "leases")
COLUMNS = {
    "entries": (
        "digest", "key", "prompt", "folded", "response", "vector", "dimension", "created_at", "ttl", "expires_at",
        "namespace", "hit_count", "input_tokens", "output_tokens", "last_accessed", "scope", "embedder", "kind", "tags",
        "aliases", "duration_ms", "cost_usd", "schema_version",
    ),
    "hits": ("digest", "hits", "accessed"),
    "counters": ("namespace", "name", "value"),
    "state": ("name", "value"),
    "leases": ("digest", "token", "until", "waited"),
    "layout": ("version", "at"),
}  # fmt: skip
LOSSES = [
    'DROP SCHEMA "{0}" CASCADE',
    *(f'DROP TABLE "{{0}}".{table} CASCADE' for table in TABLES),
    *(f'ALTER TABLE "{{0}}".{table} DROP COLUMN {name} CASCADE' for table, names in COLUMNS.items() for name in names),
    *(f'ALTER TABLE "{{0}}".{table} DROP CONSTRAINT {table}_pkey' for table in TABLES if table != "layout"),
    'DROP FUNCTION "{0}".near_exact',
    'DROP FUNCTION "{0}".lease',
    'DROP FUNCTION "{0}".tell CASCADE',
    'DROP TABLE "{0}".entries, "{0}".hits, "{0}".layout CASCADE',
    'DELETE FROM "{0}".layout',
]


def made(**settings):
    url = server_url()
    return PostgresBackend(url, **{"schema": own_schema(url), "front_size": 0, **settings})


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def use(backend, name):
    """Go through all that touches the schema."""
    await backend.set(name, entry(name, tags=("t",)))
    assert (await backend.get(name)).response == name
    assert name in [c.entry.response for c in await backend.find_candidates(X, 0.9, k=50, **LIMITS)]
    await backend.record_hits({name: 2}, 5.0)
    assert (await backend.get_many([name]))[0].hit_count == 2
    await backend.add_counters("n", {name: 1.0})
    assert (await backend.get_counters())["n"][name] == 1.0
    await backend.set_state(name, b"state")
    assert await backend.get_state(name) == b"state"
    lease = await backend.acquire_lease(name, "token", 5.0)
    assert await backend.renew_lease(lease, 5.0)
    await backend.release_lease(lease)
    assert await backend.set_vectors([(name, (await backend.get(name)).prompt, X)], "other") == [True]
    await backend.set(name, entry(name, tags=("t",)))
    assert name in dict(await backend.iterate())
    assert await backend.invalidate(tags=["t"]) >= 1
    await backend.sweep()


@pytest.mark.parametrize("loss", LOSSES)
async def test_lost_while_in_use(loss, caplog):
    backend = made()
    await use(backend, "before")
    await backend.set("kept", entry("kept"))
    await execute(server_url(), loss.format(backend.schema))
    await use(backend, "after")
    kept = await backend.get("kept")
    assert kept is None or kept.response == "kept"
    await backend._link.mend()
    again = PostgresBackend(server_url(), schema=backend.schema, front_size=0)  # a process that starts later
    await use(again, "again")
    told = [line for line in lines(caplog) if "again: index" not in line]  # these are made in the background
    assert len(told) <= 1, told
    assert len(lines(caplog)) <= 2
    if "DELETE" not in loss:
        assert "were missing and have been created again" in told[0]
    await backend.close()
    await again.close()


@pytest.mark.parametrize("loss", LOSSES)
async def test_lost_before_a_start(loss, caplog):
    backend = made()
    await use(backend, "before")
    await backend.close()
    await execute(server_url(), loss.format(backend.schema))
    again = PostgresBackend(server_url(), schema=backend.schema, front_size=0)
    await use(again, "again")
    assert len([line for line in lines(caplog) if "again: index" not in line]) <= 1
    await again.close()


@pytest.mark.parametrize(
    "column", ["folded", "vector", "dimension", "hit_count", "input_tokens", "aliases", "last_accessed", "cost_usd"]
)
async def test_entries_survive_the_loss_of_what_is_not_needed(column):
    backend = made()
    await backend.set("kept", entry("kept"))
    await execute(server_url(), f'ALTER TABLE "{backend.schema}".entries DROP COLUMN {column} CASCADE')
    assert (await backend.get("kept")).response == "kept"
    found = await backend.find_candidates(X, 0.9, **LIMITS)
    assert [c.key for c in found] == ([] if column == "vector" else ["kept"])
    await backend.close()


@pytest.mark.parametrize("column", ["scope", "embedder", "expires_at", "ttl", "namespace", "tags", "kind"])
async def test_entries_without_what_says_whose_they_are_are_not_served(column):
    backend = made()
    await backend.set("old", entry("old"))
    await execute(server_url(), f'ALTER TABLE "{backend.schema}".entries DROP COLUMN {column} CASCADE')
    assert await backend.get("old") is None
    assert await backend.find_candidates(X, 0.9, **LIMITS) == []
    await backend.close()


async def test_what_no_statement_misses_comes_back_with_the_upkeep(caplog):
    backend = made()
    await use(backend, "before")
    names = f'"{backend.schema}"'
    await execute(
        server_url(),
        *(f"DROP INDEX {names}.entries_{index}" for index in ("place", "namespace", "expiry", "tags")),
        *(f"DROP TRIGGER {trigger} ON {names}.entries" for trigger in ("replaced", "deleted", "emptied")),
    )
    backend._upkeep._next_sweep = 0.0  # a minute later
    await backend.set("k", entry())
    await asyncio.gather(*backend._tasks)
    rows = await execute(
        server_url(),
        f"SELECT indexname FROM pg_indexes WHERE schemaname = '{backend.schema}' AND tablename = 'entries'",
    )
    assert {"entries_place", "entries_namespace", "entries_expiry", "entries_tags"} <= {row[0] for row in rows}
    rows = await execute(
        server_url(), f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{names}.entries'::regclass AND NOT tgisinternal"
    )
    assert {row[0] for row in rows} == {"replaced", "deleted", "emptied"}
    assert all("were missing" in line for line in lines(caplog))
    assert len(lines(caplog)) <= 5
    caplog.clear()
    await backend._link.mend()
    assert not lines(caplog)
    await backend.close()


@pytest.mark.parametrize("loss", ["DROP INDEX {0}.entries_graph_8", "DROP FUNCTION {0}.near_8"])
async def test_a_graph_that_is_lost(loss):
    backend = made(exact_limit=5)
    await backend.set_many((f"k{number}", entry(f"k{number}")) for number in range(40))
    await backend._link.make_graph(8)
    for _ in range(3):
        assert len(await backend.find_candidates(X, 0.9, k=3, **LIMITS)) == 3
    await execute(server_url(), loss.format(f'"{backend.schema}"'))
    found = []
    for _ in range(3):
        try:
            found = await backend.find_candidates(X, 0.9, k=3, **LIMITS)
        except CacheBackendError:  # the call that met it
            assert not found
    assert len(found) == 3
    await backend._link.mend()
    backend._near._building.clear()
    await backend.find_candidates(X, 0.9, k=3, **LIMITS)
    await asyncio.gather(*backend._tasks)
    assert backend._link.graphs == {8}
    await backend.close()


async def test_the_extension_is_dropped_or_moved():
    url = server_url()
    database = own_schema(url)
    await execute(url, f"CREATE DATABASE {database}")
    theirs = url.replace("/postgres?", f"/{database}?")
    try:
        backend = PostgresBackend(theirs, front_size=0, exact_limit=5)
        await backend.set_many((f"k{number}", entry(f"k{number}")) for number in range(20))
        await backend._link.make_graph(8)
        await execute(theirs, "CREATE SCHEMA elsewhere", "ALTER EXTENSION vector SET SCHEMA elsewhere")
        for _ in range(3):
            assert len(await backend.find_candidates(X, 0.9, k=3, **LIMITS)) == 3
        await use(backend, "moved")
        await execute(theirs, "DROP EXTENSION vector CASCADE")
        assert (await backend.get("k1")).response == "k1"
        assert await backend.find_candidates(X, 0.9, **LIMITS) == []
        await use(backend, "dropped")
        await backend.close()
        again = PostgresBackend(theirs, front_size=0)
        await use(again, "again")
        await again.close()
    finally:
        await execute(url, f"DROP DATABASE {database} WITH (FORCE)")


async def test_a_table_of_another_program_is_left_alone():
    backend = made(prefix="x_")
    await execute(
        server_url(),
        f'CREATE SCHEMA "{backend.schema}"',
        f'CREATE TABLE "{backend.schema}".x_entries (id integer)',
        f'INSERT INTO "{backend.schema}".x_entries VALUES (1)',
    )
    with pytest.raises(CacheBackendError, match=r"not of this package.*schema=.*prefix="):
        await backend.set("k", entry())
    rows = await execute(server_url(), f'SELECT * FROM "{backend.schema}".x_entries')
    assert [tuple(row) for row in rows] == [(1,)]
    await backend.close()


async def test_an_engine_goes_on(caplog):
    engine = SemanticCache(made())
    calls = []

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        return prompt

    for _ in range(2):
        assert await ask("x") == "x"
    assert len(calls) == 1
    for loss in ('DROP TABLE "{0}".entries CASCADE', 'DROP SCHEMA "{0}" CASCADE'):
        await execute(server_url(), loss.format(engine.backend.schema))
        for _ in range(3):
            assert await ask("x") == "x"
        assert last_lookup().outcome == "exact"
    assert len(calls) == 3
    assert len(lines(caplog)) == 2
    await engine.close()
    await engine.backend.close()


async def test_many_meet_the_loss_at_once(caplog):
    backend = made()
    others = [PostgresBackend(server_url(), schema=backend.schema, front_size=0) for _ in range(3)]
    await asyncio.gather(*(one.set(f"k{n}", entry()) for n, one in enumerate(others)))
    await execute(server_url(), f'DROP TABLE "{backend.schema}".entries, "{backend.schema}".leases CASCADE')
    await asyncio.gather(*(one.set(f"{n}", entry()) for one in others for n in range(20)))
    assert len(await others[0].iterate()) == 20
    assert len(lines(caplog)) == 1
    for one in (backend, *others):
        await one.close()


async def test_a_repair_outlasts_the_call_that_met_the_loss(monkeypatch):
    from semantic_llm_cache.backends.postgres import link as _postgres_link

    backend = made()
    await backend.set("k", entry())
    await execute(server_url(), f'DROP TABLE "{backend.schema}".hits')
    real, runs, go_on = _postgres_link.set_up, 0, asyncio.Event()

    async def slow(*args, **kwargs):
        nonlocal runs
        runs += 1
        await go_on.wait()
        return await real(*args, **kwargs)

    monkeypatch.setattr(_postgres_link, "set_up", slow)
    for _ in range(3):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(backend.get_many(["k"]), 0.05)  # `get` needs no hits
    go_on.set()
    assert (await backend.get_many(["k"]))[0].response == "That."
    assert runs == 1
    await backend.close()


async def test_a_lost_table_of_vectors_costs_the_vectors_and_nothing_else(caplog):
    backend = made()
    text, vector = Text("n", "scope", "model", "p"), np.eye(1, 8, dtype=np.float32)[0]
    await backend.set("k", entry())
    await backend.keep_vectors({text: vector})
    assert np.array_equal((await backend.recall("nothing", text))[1], vector)
    await execute(server_url(), f'DROP TABLE "{backend.schema}".vectors')
    caplog.clear()
    assert await backend.recall("nothing", text) == (None, None)
    assert (await backend.recall("k", text))[0].response == "That."
    assert await backend.clear("m") == 0
    await backend.keep_vectors({text: vector})
    assert np.array_equal((await backend.recall("nothing", text))[1], vector)
    assert "missing" not in caplog.text
    await backend.close()


async def test_a_user_who_may_make_no_table_shares_no_vectors(monkeypatch):
    backend, text = made(), Text("n", "scope", "model", "p")
    await backend.set("k", entry())

    async def refused(work, **options):
        raise CacheBackendError("permission denied for schema")

    monkeypatch.setattr(backend._link, "run", refused)
    await backend.keep_vectors({text: np.eye(1, 8, dtype=np.float32)[0]})
    monkeypatch.undo()
    assert (await backend.recall("k", text))[0].response == "That."
    assert await backend.recall("nothing", text) == (None, None)
    await backend.close()
