"""Files that hold prompts and answers: only their owner may read them, unless they exist with another mode."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import IO

__all__ = ["create_private", "replacing"]

_MODE = 0o600


def create_private(path: str) -> None:
    """Create an empty file with mode 0600, whatever the umask, unless it exists.

    It never has another mode, not even briefly. A symbolic link to a missing file is followed.
    If the file cannot be created, nothing happens: whoever opens it next gets the error.
    """
    with contextlib.suppress(OSError):
        handle = os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            _set_mode(handle, _MODE)  # the umask may have removed even the owner's bits
        finally:
            os.close(handle)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[IO[str]]:
    """Open a new text file that replaces `path` at the end; after an exception it is removed.

    It has the mode of the file it replaces, else 0600. A symbolic link stays, and its target is replaced. A
    pipe, a terminal or anything else that is not a regular file is written to directly.

    Raises:
        OSError: it cannot be written.
    """
    import tempfile

    path = os.path.realpath(path)
    try:
        there = os.stat(path)
    except FileNotFoundError:
        mode = _MODE
    else:
        mode = stat.S_IMODE(there.st_mode)
        if not stat.S_ISREG(there.st_mode):
            with _text(path) as file:
                yield file
            return
    folder, name = os.path.split(path)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        _set_mode(handle, _MODE)
        with _text(handle) as file:
            yield file
            file.flush()
            _set_mode(handle, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _text(file: str | int) -> IO[str]:
    # UTF-8 cannot hold half of a surrogate pair: it is written as its JSON escape.
    return open(file, "w", encoding="utf-8", errors="backslashreplace")


def _set_mode(handle: int, mode: int) -> None:
    if hasattr(os, "fchmod"):  # not on Windows, which has no such modes
        os.fchmod(handle, mode)
