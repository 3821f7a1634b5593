"""The file beside the database that keeps its vectors ready to be searched."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from semantic_llm_cache.backends.sqlite.schema import open_writer, sequence
from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index.indexer import Stopped
from semantic_llm_cache.index.snapshot import Snapshot, write
from semantic_llm_cache.runtime.fork import fork_safe_lock

__all__ = ["IndexFile", "Position"]

logger = logging.getLogger("semantic_llm_cache")

_LEAST = 5_000  # vectors; fewer are read from the table as fast
_SHARE = 8  # written again when one in so many has changed
_LOCK_SECONDS = 1.0
_CLOSE_SECONDS = 20.0

_saving: set[str] = set()  # a lock on a file does not hold between threads of one process


class Position(NamedTuple):
    """Up to where an index knows the database: highest id given, last line of `deletions`."""

    last_id: int
    last_deletion: int


class IndexFile:
    """Keeps an index in ``<database>-index`` and checks that the file there belongs to the database.

    With every write a new token goes into the file and, just before the file takes its place, into the
    database, which remembers the last two. A file whose token the database does not know was made from
    another database, or from a state that was rolled back since. A valid file is brought up to date from its
    position, like an index that was idle.

    Args:
        path: of the database.
        index: to be kept.
    """

    def __init__(self, path: str, index: VectorIndex) -> None:
        self.database = path
        self.path = path + "-index"
        self.index = index
        self.least = _LEAST
        self.damaged = False
        """True once the file that was read turned out to be damaged: its vectors cannot be trusted."""
        self._lock = fork_safe_lock(outer=True)  # opening a connection takes another one
        self._inode = 0
        self._position = Position(0, 0)
        self._changes = 0
        self._indexed = 0  # vectors in lists, in the file
        self._asked = False
        self._reading: Snapshot | None = None  # its vectors are in use, and not verified yet
        # The index holds on to its indexer, which must not hold on to what holds the index.
        reference = weakref.WeakMethod(self._progressed)
        index.indexer.progressed = lambda: call() if (call := reference()) is not None else None

    # ------------------------------------------------------------------------------ reading

    def load(self, connection: sqlite3.Connection) -> Position | None:
        """Fill the empty index from the file; None when there is none that is fit. In a read transaction."""
        self.damaged = False
        self._reading, self._indexed, self._changes = None, 0, 0
        with contextlib.suppress(OSError):
            self._inode = os.stat(self.database).st_ino
        try:
            snapshot = Snapshot(self.path)
            position = Position(int(snapshot.info["last_id"]), int(snapshot.info["last_deletion"]))
            token = snapshot.info["token"]
            if (
                token not in _tokens(connection)
                or position.last_id > sequence(connection, "entries")
                or position.last_deletion > sequence(connection, "deletions")
            ):
                raise ValueError("it belongs to another database, or to another state of this one")
            snapshot.fill(self.index)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, OSError) as error:
            self.index.clear()
            logger.warning("%s is not used and will be created again (%s)", self.path, error)
            return None
        self._position = position
        self._indexed = int(snapshot.info.get("indexed", 0))
        self._reading = snapshot
        self.index.indexer.run(lambda: self._verify(snapshot))
        return position

    def _verify(self, snapshot: Snapshot) -> None:
        if snapshot is not self._reading:
            return
        try:
            snapshot.verify(self._check)
            self._reading = None
        except ValueError as error:
            if snapshot is not self._reading:
                return
            logger.warning("%s is no longer used and will be created again: %s", self.path, error)
            self.index.indexer.abandon(for_good=False)
            self.discard()

    def discard(self) -> None:
        """Remove the file and have the index read from the table again."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self.damaged = True
        self._reading = None

    # ------------------------------------------------------------------------------ writing

    def changed(self, position: Position, count: int) -> None:
        """Note that the index, caught up to `position`, has changed in `count` vectors."""
        self._position = position
        self._changes += count
        if count and self._is_due():
            self._ask()

    def _is_due(self) -> bool:
        return len(self.index) >= self.least and self._changes >= max(self.least, len(self.index) // _SHARE)

    def _ask(self) -> None:
        if not self._asked and not self.damaged:
            self._asked = True
            if not self.index.indexer.run(self._save):
                self._asked = False

    def _progressed(self) -> None:
        """Write the lists, in the thread of the indexer, when they have grown by a quarter of all."""
        if self._has_grown(4):
            self._ask()

    def _has_grown(self, share: int) -> bool:
        rows = len(self.index)
        return rows >= self.least and share * (self.index.indexed - self._indexed) >= rows

    def finish(self) -> None:
        """Write what is worth writing, and end the work in the background. Blocks; some seconds at most."""
        end = time.monotonic() + _CLOSE_SECONDS
        for _ in range(2):  # a file that is being written now may lack what was read last
            if self._is_due() or self._has_grown(20):
                self._ask()
            while self._asked and time.monotonic() < end:
                time.sleep(0.005)
        self.index.indexer.pause()

    def _check(self) -> None:
        if self.index.indexer.stopping:
            raise Stopped

    def _save(self) -> None:
        try:
            temporary = self.path + ".tmp"
            with _locked(temporary) as file:
                if file is not None:
                    self._write(file, temporary)
        except Stopped:
            pass
        except OSError as error:
            # A full disk, a folder that cannot be written: the index works as well without a file.
            logger.warning("%s could not be written, the next start takes longer: %s", self.path, error)
            self._changes = 0
        except sqlite3.Error as error:
            logger.debug("%s could not be written now: %s", self.path, error)
        finally:
            self._asked = False

    def _write(self, file: BinaryIO, temporary: str) -> None:
        position, changes, inode = self._position, self._changes, self._inode
        if self._is_written(position, len(self.index) // (2 * _SHARE)):
            self._changes -= changes
            return
        start = time.perf_counter()
        token = os.urandom(16).hex()
        rows, indexed = len(self.index), self.index.indexed
        info = {"token": token, "rows": rows, "indexed": indexed, **position._asdict()}
        os.fchmod(file.fileno(), os.stat(self.database).st_mode & 0o777)
        write(self.index, file, info, self._check)
        if not self._publish(token, position, inode):
            return
        os.replace(temporary, self.path)
        self._changes -= changes
        self._indexed = indexed
        logger.debug("%s: %d vectors written in %.1f s", self.path, rows, time.perf_counter() - start)

    def _is_written(self, position: Position, few: int) -> bool:
        """Return whether another process has just written the same."""
        try:
            there = Snapshot(self.path).info
            return bool(
                there["last_id"] + few >= position.last_id
                and there["last_deletion"] + few >= position.last_deletion
                and 20 * (self.index.indexed - there["indexed"]) < len(self.index)
                and self._is_known(there["token"])
            )
        except (ValueError, KeyError, TypeError, OSError):
            return False

    def _is_known(self, token: str) -> bool:
        with self._lock, _connection(self.database) as connection:
            return token in _tokens(connection)

    def _publish(self, token: str, position: Position, inode: int) -> bool:
        """Make the token known to the database; False when it is not the one that the index was made from."""
        with self._lock, _connection(self.database) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                same = os.stat(self.database).st_ino == inode
                if (
                    not same
                    or sequence(connection, "entries") < position.last_id
                    or sequence(connection, "deletions") < position.last_deletion
                ):
                    return False
                # Two, as the process may die before the new file is in its place.
                tokens = ",".join([token, *_tokens(connection)][:2])
                connection.execute("REPLACE INTO meta (name, value) VALUES ('index_tokens', ?)", (tokens,))
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return True


def _tokens(connection: sqlite3.Connection) -> list[str]:
    row = connection.execute("SELECT value FROM meta WHERE name = 'index_tokens'").fetchone()
    return [] if row is None else str(row[0]).split(",")


@contextlib.contextmanager
def _connection(path: str) -> Iterator[sqlite3.Connection]:
    # For a moment, with a lock that forks wait for: no connection may be carried over one.
    if not os.path.exists(path):
        raise sqlite3.OperationalError("the database is gone")
    connection = open_writer(path, _LOCK_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def _locked(path: str) -> Iterator[BinaryIO | None]:
    """Open an empty file that no other process is writing; None when one is."""
    try:
        import fcntl
    except ImportError:  # no POSIX: an index in a file is a matter of speed only
        yield None
        return
    if path in _saving:
        yield None
        return
    _saving.add(path)
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ours = os.stat(path).st_ino == os.fstat(file.fileno()).st_ino
            except (BlockingIOError, PermissionError, FileNotFoundError):
                ours = False
            if ours:  # else the one who had the lock has put the file in its place meanwhile
                file.truncate(0)
            yield file if ours else None
    finally:
        _saving.discard(path)
