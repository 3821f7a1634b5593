"""Write what `tests/compat` reads: `python scripts/write_compat.py [FOLDER]`, by default `tests/compat/data`.

It runs the small program `tests/compat/compat_app.py` with the package that is imported (this checkout's, unless
`PYTHONPATH` names another) over a SQLite file, each way of searching in Redis and PostgreSQL, and keeps what they
then hold. Later versions must answer from it. Run it at a commit whose format they have to read.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib
import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
COMPAT = PROJECT / "tests" / "compat"
sys.path[:0] = [str(COMPAT), str(PROJECT)]
if importlib.util.find_spec("semantic_llm_cache") is None:
    sys.path.insert(0, str(PROJECT / "src"))

from scripts.servers.postgres import PostgresServer, programs  # noqa: E402
from scripts.servers.redis import KINDS, RedisServer  # noqa: E402

PREFIX = "compat:"
"""What the names of all keys in Redis begin with."""
SCHEMA = "slc_compat"
"""Where the tables are in PostgreSQL."""
POSTGRES = 16
"""The oldest version that the tests know: newer ones load what it writes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all data, or with --fill fill one cache; return 1 when the package is not as committed."""
    parser = argparse.ArgumentParser(prog="python scripts/write_compat.py", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=COMPAT / "data")
    parser.add_argument("--fill", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fill:
        print(json.dumps(asyncio.run(_filled(options.fill))))
        return 0
    try:
        commit = _commit()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        _write_all(Path(name), commit)
        options.folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(name).iterdir()):
            shutil.copyfile(file, options.folder / file.name)
            print(f"{file.stat().st_size:>8} {options.folder / file.name}")
    return 0


def _commit() -> str:
    """Return the commit of the package that is imported, and its version.

    Raises:
        RuntimeError: it is not in a repository, or has changes that are not committed.
    """
    package = importlib.import_module("semantic_llm_cache")
    folder = Path(package.__file__ or "").resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed, commit = git("status", "--porcelain", "--", "."), git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"{folder} is in no git repository, so the data could not say what wrote it") from error
    if changed:
        raise RuntimeError(f"commit the changes in {folder} first: the data say which commit wrote them\n{changed}")
    return f"commit {commit}\nversion {package.__version__}\n"


def _write_all(folder: Path, commit: str) -> None:
    expected = {}
    (folder / "written-by.txt").write_text(commit)
    database = folder / "cache.sqlite3"
    expected["sqlite"] = _fill(f"sqlite:///{database}")
    _settle(database)
    asyncio.run(_export(f"sqlite:///{database}", folder / "export.jsonl"))
    _settle(database)
    for way in KINDS:
        with RedisServer(way) as server:
            expected[f"redis-{way}"] = _fill(f"{server.url}?prefix={PREFIX}&search={way}")
            _dump_redis(server.url, folder / f"redis-{way}.json")
    with PostgresServer(POSTGRES) as server:
        expected["postgres"] = _fill(f"{server.url}&schema={SCHEMA}")
        _dump_postgres(server.url, folder / "postgres.sql")
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def _fill(url: str) -> dict[str, Any]:
    """Fill a cache in a process of its own, so that nothing is remembered from the one before."""
    done = subprocess.run(
        [sys.executable, __file__, "--fill", url], stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ)
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _filled(url: str) -> dict[str, Any]:
    from semantic_llm_cache import get_default_backend, set_default_backend

    app = importlib.import_module("compat_app")
    set_default_backend(url)
    await app.fill()
    async with get_default_backend() as backend:
        found: dict[str, Any] = await app.contents(backend)
        return found


async def _export(url: str, file: Path) -> None:
    from semantic_llm_cache import export_cache
    from semantic_llm_cache.backends import backend_from_url

    async with backend_from_url(url) as backend:
        await export_cache(filepath=file, backend=backend)


def _settle(database: Path) -> None:
    """Bring everything into the one file."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    beside = [path.name for path in database.parent.glob(f"{database.name}?*")]
    if beside:
        raise RuntimeError(f"the database left files beside it: {', '.join(beside)}")


def _dump_redis(url: str, file: Path) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        version = client.info("server")["redis_version"]
        keys = {}
        for key in sorted(client.scan_iter(match=f"{PREFIX}*", count=1000)):
            # Counts of hits expire some time after the last one. Here nothing does: the data must last.
            keys[_text(key)] = _text(client.dump(key))
    file.write_text(json.dumps({"redis": version, "prefix": PREFIX, "keys": keys}, indent=1) + "\n")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _dump_postgres(url: str, file: Path) -> None:
    command = [str(programs(POSTGRES) / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", f"--schema={SCHEMA}"]
    done = subprocess.run([*command, url], stdout=subprocess.PIPE, text=True, check=True)
    # What is for psql, settings that other versions do not know, and comments are left out.
    left_out = ("\\", "SET ", "SELECT pg_catalog.set_config", "--")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(left_out)]
    file.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
