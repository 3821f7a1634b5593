"""Timing loops that every side shares, and the lines of JSON by which a worker is asked.

Only the standard library: this file also runs in the environments of the peers.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any


def time_calls(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Return the seconds that `function(item)` takes for all items; no garbage collection meanwhile."""
    gc.collect()
    gc.disable()
    try:
        started = perf_counter()
        for item in items:
            function(item)
        return perf_counter() - started
    finally:
        gc.enable()


async def time_awaits(function: Callable[[Any], Awaitable[object]], items: Sequence[Any]) -> float:
    """`time_calls` for an async function, awaited one after the other."""
    gc.collect()
    gc.disable()
    try:
        started = perf_counter()
        for item in items:
            await function(item)
        return perf_counter() - started
    finally:
        gc.enable()


def resident_bytes() -> int:
    """Return the resident memory of this process, after handing free pages back to the system (Linux)."""
    import ctypes

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        pass
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of this Python and of the packages named, as installed here."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def serve(operations: dict[str, Callable[..., Any]]) -> None:
    """Answer requests from stdin until it ends.

    A request is ``{"do": name, ...}``: the operation is called with the other fields and its result
    goes back as ``{"result": ...}``, an exception as ``{"error": text}``.
    """
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": operations[request.pop("do")](**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
