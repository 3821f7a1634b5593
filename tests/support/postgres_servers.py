"""Real PostgreSQL servers for tests: started once per session and process, ended by their ids."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scripts.servers.postgres import PgBouncer, PostgresServer  # noqa: E402

_running: dict[object, PostgresServer | PgBouncer] = {}
_schemas: list[tuple[str, str]] = []


def server_url(version: int = 18) -> str:
    """Return the address of a server of a version.

    ``POSTGRES_URL`` names one to use instead of version 18; only schemas of the tests are touched there.
    """
    given = os.environ.get("POSTGRES_URL")
    if given and version == 18:
        return given
    return _server(version).url


def bouncer_url(options: tuple[str, ...] = ()) -> str:
    """Return the address of a pgbouncer in transaction mode before a server of version 18."""
    if options not in _running:
        bouncer = PgBouncer(_server(18), options)
        bouncer.start()
        _running[options] = bouncer
    return _running[options].url


def _server(version: int) -> PostgresServer:
    if version not in _running:
        server = PostgresServer(version)
        server.start()
        _running[version] = server
    return _running[version]


def own_schema(url: str) -> str:
    """Return a schema that no other test uses, removed at the end."""
    schema = f"slc_test_{uuid.uuid4().hex[:12]}"
    _schemas.append((url, schema))
    return schema


async def execute(url: str, *statements: str):
    """Execute statements as another program would; return the rows of the last."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            rows = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


@atexit.register
def stop_all() -> None:
    """Remove what was made on servers that stay, and end the servers of this process."""
    ours = {server.url for server in _running.values()}
    left: dict[str, list[str]] = {}
    for url, schema in _schemas:
        if url not in ours:
            left.setdefault(url, []).append(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
    for url, statements in left.items():
        asyncio.run(execute(url, *statements))
    for server in reversed(_running.values()):
        server.stop()
    _running.clear()
