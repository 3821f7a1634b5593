"""Entries for the tests of the command line, and how they get into a file and out."""

import asyncio
import os
import pty
import signal
import time

import numpy as np
import pytest

from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry

NOW = time.time()


def vector(seed):
    values = np.random.default_rng(seed).normal(size=384).astype(np.float32)
    return values / np.linalg.norm(values)


def entry(prompt, response, age=60.0, **fields):
    return CacheEntry(prompt=prompt, response=response, created_at=NOW - age, **fields)


ENTRIES = {
    "aa11-python": entry(
        "What is Python?",
        "A language.",
        age=7200,
        namespace="docs",
        embedding=vector(1),
        embedder="test-embedder",
        input_tokens=4,
        output_tokens=1234,
        duration_ms=351.5,
        cost_usd=0.25,
        tags=("languages", "intro"),
        scope="scope-1",
    ),
    "aa11-rust": entry("What is Rust?", {"lines": [1, 2], "who": ("a", "b")}, age=3600, namespace="docs"),
    "bb22-hours": entry("What are your Opening Hours?", "9 to 5", age=120, ttl=86400.0, tags=("plans",)),
    "cc33-evil": entry("red \x1b[31malert\nsecond line", "\x1b[2Jgone\nsecond", age=30),
}


def fill(path, entries=None, counters=None):
    async def write():
        async with SQLiteBackend(db_path=str(path)) as backend:
            for key, item in (ENTRIES if entries is None else entries).items():
                await backend.set(key, item)
            for namespace, counts in (counters or {}).items():
                await backend.add_counters(namespace, counts)

    asyncio.run(write())


def read(path):
    async def every():
        async with SQLiteBackend(db_path=str(path)) as backend:
            return dict(await backend.iterate())

    return asyncio.run(every())


def read_terminal(ours):
    """Return all that was written to a pseudo-terminal whose other end is closed, and close it."""
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed, and nothing is left
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    return b"".join(pieces).decode()


def terminal_output(print_it, columns=40, **variables):
    """Return what a call prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    with pytest.MonkeyPatch.context() as patch, open(theirs, "w", encoding="utf-8") as stream:
        patch.delenv("NO_COLOR", raising=False)
        for name, value in {"COLUMNS": str(columns), "TERM": "xterm", **variables}.items():
            patch.setenv(name, value)
        for name in ("stdout", "stderr"):
            patch.setattr(f"sys.{name}", stream)
        print_it()
    return read_terminal(ours)


def interruptible():
    """Let Ctrl-C end a child (as `preexec_fn`): tests that a shell runs in the background inherit it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
