"""The database file: its tables, their versions, how it is opened, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Callable
from urllib.parse import quote

from semantic_llm_cache.backends.sqlite.watch import Connection, clear_away_old, identity, note
from semantic_llm_cache.exceptions import CacheBackendError, CacheSerializationError, PromptCacheError
from semantic_llm_cache.runtime.private_files import create_private

__all__ = ["SCHEMA_VERSION", "close", "must_reconnect", "open_reader", "open_writer", "sequence", "translate"]

SCHEMA_VERSION = 2
"""Version of the tables. A file of an older one is brought up when opened, a newer one is refused."""

_READABLE_VERSION = 1
"""From which version on entries can be read as they are, where nothing can be written."""

_APPLICATION_ID = 0x534C4C43  # "SLLC": marks the file as ours, also for `file` and other tools

# Entry and vector are one row, so they are written together or not at all. Every write gets a new id
# and every removal a line in `deletions`: the two tell an index in any process what it has missed.
# Long columns come last: SQLite then need not read through them to reach the others.
_CREATE = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        namespace TEXT NOT NULL,
        scope TEXT NOT NULL,
        embedder TEXT NOT NULL,
        created_at REAL NOT NULL,
        ttl REAL,
        expires_at REAL,
        hit_count INTEGER NOT NULL,
        last_accessed REAL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        duration_ms REAL NOT NULL,
        cost_usd REAL NOT NULL,
        kind TEXT NOT NULL,
        tags TEXT NOT NULL,
        aliases TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        prompt TEXT NOT NULL,
        response TEXT NOT NULL,
        vector BLOB
    )""",
    "CREATE INDEX entries_namespace ON entries (namespace)",
    "CREATE INDEX entries_expires_at ON entries (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE TABLE deletions (seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL)",
    """CREATE TRIGGER entries_deleted AFTER DELETE ON entries BEGIN
        UPDATE meta SET value = value - 1 WHERE name = 'entries';
        INSERT INTO deletions (id) SELECT OLD.id WHERE OLD.vector IS NOT NULL;
    END""",
    """CREATE TRIGGER entries_inserted AFTER INSERT ON entries BEGIN
        UPDATE meta SET value = value + 1 WHERE name = 'entries';
    END""",
    """CREATE TABLE counters (
        namespace TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (namespace, name)
    ) WITHOUT ROWID""",
    "CREATE TABLE states (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('schema_version', 1), ('entries', 0)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)


def _add_leases(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE leases (key TEXT PRIMARY KEY, token TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL) "
        "WITHOUT ROWID"
    )


_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _add_leases}
"""From a version to the next one, inside the caller's transaction."""


def open_writer(path: str, timeout: float) -> Connection:
    """Return a connection to write with; makes the file and its tables when there are none."""

    def make() -> Connection:
        connection = _connect(path, timeout)
        try:
            _prepare(connection, path, timeout)
            # A killed process loses nothing; a power cut may lose the last commits, never the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE then counts as a removal, too
            connection.execute("PRAGMA journal_size_limit = 16777216")
        except BaseException:
            connection.close()
            raise
        return connection

    return _opened(path, make)


def open_reader(path: str, timeout: float) -> tuple[Connection, bool]:
    """Return a connection to read with, and whether it is good for a moment only.

    It is when neither the file nor its folder can be written: SQLite then reads the file as one that
    never changes.
    """

    def make() -> Connection:
        connection = _connect(path, timeout)
        try:
            _prepare(connection, path, timeout)
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    try:
        return _opened(path, make), False
    except sqlite3.OperationalError as error:
        wal = path + "-wal"
        if not os.path.isfile(path) or (os.path.exists(wal) and os.path.getsize(wal)):
            raise
        connection = _connect(f"file:{quote(path)}?mode=ro&immutable=1", timeout, uri=True)
        try:
            version = _version(connection, path)
            if version < _READABLE_VERSION or (version < SCHEMA_VERSION and not _unwritable(error)):
                raise
        except BaseException:
            connection.close()
            raise
        return connection, True


def _opened(path: str, make: Callable[[], Connection]) -> Connection:
    """Return a connection that knows which file it has open."""
    tries = 5
    while True:
        tries -= 1
        clear_away_old(path)
        create_private(path)  # SQLite gives -wal and -shm the mode of the database
        before = identity(path)
        try:
            connection = make()
        except sqlite3.OperationalError:
            if tries and identity(path) != before:  # replaced in the middle of it
                continue
            raise
        if identity(path) == before or not tries:
            note(connection, path)
            return connection
        connection.close()


def _unwritable(error: sqlite3.OperationalError) -> bool:
    return "readonly" in str(error) or "unable to open" in str(error)


def _connect(path: str, timeout: float, uri: bool = False) -> Connection:
    # Used by one thread at a time, but closed by another one before a fork.
    return sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False, uri=uri, factory=Connection
    )


def _version(connection: sqlite3.Connection, path: str) -> int:
    """Return the schema version, 0 for an empty file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        # Read again: another process may have made the tables, and the mark, between the two questions.
        if tables and connection.execute("PRAGMA application_id").fetchone() != (_APPLICATION_ID,):
            raise CacheBackendError(
                f"{path} is an SQLite database of another program, or of another cache: choose another path"
            )
        return 0
    (version,) = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    if version > SCHEMA_VERSION:
        raise CacheBackendError(
            f"{path} was written by a newer semantic-llm-cache (schema {version}, this one reads up to "
            f"{SCHEMA_VERSION}): upgrade this one, or choose another path"
        )
    return int(version)


def _prepare(connection: sqlite3.Connection, path: str, timeout: float) -> None:
    version = _version(connection, path)
    if version == SCHEMA_VERSION:
        return
    if version == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table
        _use_wal(connection, timeout)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)  # another process may have been faster
        if version == 0:
            for statement in _CREATE:
                connection.execute(statement)
            version = 1  # the rest is brought up like a file of that version
        while version < SCHEMA_VERSION:
            _MIGRATIONS[version](connection)
            version += 1
            connection.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", (version,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection, timeout: float) -> None:
    # The change of mode does not wait for other connections by itself. Where it is impossible (some
    # network file systems) SQLite stays with its rollback journal, which works, too.
    end = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.005)


# ------------------------------------------------------------------------------ errors

_REMEDIES = (
    ("not a database", "is not an SQLite database, or is encrypted: move it away or choose another path"),
    ("unable to open", "cannot be opened: see that its folder exists and that this process may write there"),
    ("readonly", "cannot be written: give this process write access to the file and its folder"),
    ("is full", "cannot grow, the disk or a quota is full: free some space"),
    ("locked", "is locked by another process that holds a long transaction: end that one or wait"),
    ("malformed", "is damaged: move it away together with its -wal file; a new cache is then started"),
    ("I/O", "could not be read or written, the disk reports an error: see the system's log"),
)


_BAD_VALUE = (
    UnicodeError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


# SQLite's texts that name tables, columns and states of the file, and no values.
_NAMES_ONLY = re.compile(
    r"(?:attempt to write a readonly database|unable to open database file|database (?:table )?is locked|file is not a "
    r"database|database or disk is full|database disk image is malformed|disk I/O error|interrupted|"
    r"(?:Python int|string or blob|int) too (?:large|big)|no such (?:table|column|index): [\w.]+\Z|"
    r"(?:NOT NULL|UNIQUE) constraint failed: [\w., ]+\Z|[Ee]rror binding parameter|datatype mismatch|"
    r"table \w+ (?:already exists|has no column named \w+)\Z)"
)


def translate(error: Exception, path: str) -> Exception:
    """Return the error that the caller gets for one of sqlite3."""
    if isinstance(error, PromptCacheError):
        return error
    if isinstance(error, _BAD_VALUE):
        result: Exception = CacheSerializationError(f"a field of the entry cannot be stored ({_harmless(error)})")
    elif isinstance(error, (sqlite3.Error, OSError)):
        remedy = next((help for sign, help in _REMEDIES if sign in str(error)), "failed")
        result = CacheBackendError(f"the cache file {path} {remedy} ({_harmless(error)})")
    else:
        return error
    result.__cause__ = error
    return result


def _harmless(error: Exception) -> str:
    """Return what may be shown of an error; some texts quote what is stored, which may be a prompt."""
    if isinstance(error, UnicodeError):
        return f"text that is not valid Unicode, {type(error).__name__}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    text = str(error)
    return text if _NAMES_ONLY.match(text) else f"{type(error).__name__}, {text.partition(' ')[0]} ..."


def must_reconnect(error: Exception) -> bool:
    """Return whether a connection is of no use after `error`."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, _BAD_VALUE):
        return False
    return not any(sign in str(error) for sign in ("locked", "is full", "decode"))


def sequence(connection: sqlite3.Connection, table: str) -> int:
    """Return the highest number that a table has given so far."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])


def close(connection: sqlite3.Connection) -> None:
    """Close a connection; the last one on the file writes the log back into it."""
    with contextlib.suppress(sqlite3.Error):
        connection.close()
