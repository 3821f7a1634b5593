"""A database file that is deleted or replaced while connections have it open.

Such a connection goes on with a file that no other process can see, and what it writes is lost. So before each job
the file at the path is compared with the one that was opened, which takes two microseconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.values.odd_text import escape

__all__ = ["Connection", "OpenFile", "Watch", "clear_away_old", "identity", "note"]

logger = logging.getLogger("semantic_llm_cache")

Identity = tuple[int, int]
"""Device and inode. While a connection is open, no other file can get the same."""


class OpenFile(NamedTuple):
    """What a connection has open.

    Attributes:
        file: the database.
        path: where it was, links resolved: SQLite keeps -wal and -shm there.
        wal: its write-ahead log, None without one.
    """

    file: Identity
    path: str
    wal: Identity | None


class Connection(sqlite3.Connection):
    """A connection that knows its file (None where that cannot change unseen), and takes any text as a parameter.

    Texts are written by `escape`. Who reads one undoes that with `unescape`.
    """

    opened: OpenFile | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement."""
        return super().execute(sql, _written(parameters) if parameters else ())

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement for each of several rows of parameters."""
        return super().executemany(sql, map(_written, parameters))

    def close(self) -> None:
        """Close it. From then on its file's numbers may be another's."""
        self.opened = None
        super().close()


def _written(parameters: Sequence[Any]) -> Sequence[Any]:
    for one in parameters:
        if type(one) is str and not one.isascii():
            break
    else:
        return parameters
    return [escape(one) if type(one) is str and not one.isascii() else one for one in parameters]


class Watch:
    """Checks that a connection's file is still the one at its path.

    Args:
        path: of the database.
        changed: called, in any thread, when another file was found there.
    """

    def __init__(self, path: str, changed: Callable[[], None]) -> None:
        self.path = path
        self._changed = changed
        self._gone: set[Identity] = set()
        self._lock = fork_safe_lock()

    def replaced(self, connection: Connection) -> bool:
        """Return whether `connection` is no longer of use. Logs each file that is gone once."""
        opened = connection.opened
        if opened is None:
            return False
        try:
            there = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:  # for example no right to look: nothing is known
            return False
        else:
            if (there.st_dev, there.st_ino) == opened.file:
                return False
        with self._lock:
            first = opened.file not in self._gone
            self._gone.add(opened.file)
            _clear_away(opened)
        if first:
            self._changed()
            logger.warning(
                "semantic-llm-cache: %s was deleted or replaced while in use; the file that is there now is opened",
                self.path,
            )
        return True

    def opens(self, connection: Connection) -> None:
        """Note that a file has been opened. A number may come back once its file has been closed everywhere."""
        if connection.opened is not None and self._gone:
            with self._lock:
                self._gone.discard(connection.opened.file)


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()
_connections_lock = fork_safe_lock()


def note(connection: Connection, path: str) -> None:
    """Remember what a connection has open: the file that is at `path` now."""
    file, real = identity(path), os.path.realpath(path)
    if file is not None:
        connection.opened = OpenFile(file, real, identity(real + "-wal"))
        with _connections_lock:
            _connections.add(connection)


def clear_away_old(path: str) -> None:
    """Remove what a database that was at `path` has left beside it. To be called before one is opened there."""
    real, there = os.path.realpath(path), identity(path)
    with _connections_lock:
        known = list(_connections)
    for connection in known:
        opened = connection.opened
        if opened is not None and opened.path == real and opened.file != there:
            _clear_away(opened)


def identity(path: str) -> Identity | None:
    """Return which file is at a path, None when there is none or it cannot be seen."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _clear_away(opened: OpenFile) -> None:
    """Remove the -wal and -shm of a deleted database, before SQLite takes them for those of the new one.

    Another process may be doing the same, and open the new database right after: a lock on the log lets one
    go first, and the other finds that the log there is not the old one any more.
    """
    log = opened.path + "-wal"
    if opened.wal is None or identity(log) != opened.wal:
        return
    with contextlib.suppress(OSError):
        handle = os.open(log, os.O_RDWR)
        try:
            _lock(handle)
            if identity(log) == opened.wal:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(opened.path + "-shm")
                os.unlink(log)
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    with contextlib.suppress(ImportError):  # Windows, where a file in use cannot be replaced
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)  # not one of the locks that SQLite uses
