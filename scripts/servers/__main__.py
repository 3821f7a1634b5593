"""`python -m scripts.servers start|stop|env`: servers on loopback, to run tests and benchmarks against.

`start` fetches what is missing, starts the servers and prints how to name them to a shell; `env` prints
that again; `stop` ends them.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.servers.common import CACHE, ServersUnavailable, is_running

KINDS = tuple(n for n in ("redis", "postgres") if importlib.util.find_spec(f"scripts.servers.{n}") is not None)
STATE = CACHE / "running.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 when a server could not be fetched or started."""
    parser = argparse.ArgumentParser(prog="python -m scripts.servers", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "env"))
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; default: all")
    options = parser.parse_args(arguments)
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"no servers of the kind {unknown[0]!r}: there are {', '.join(KINDS)}")
    kinds = options.kinds or list(KINDS)
    running = _running()
    try:
        if options.action == "start":
            for kind in kinds:
                if not any(server["kind"] == kind for server in running.values()):
                    _start(kind, running)
        elif options.action == "stop":
            for name in [name for name, server in running.items() if server["kind"] in kinds]:
                _stop(running.pop(name))
                _save(running)
            return 0
    except ServersUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    for name, server in running.items():
        if server["kind"] in kinds:
            print(f"export {name}={server['url']}")
    return 0


def _start(kind: str, running: dict[str, dict[str, str]]) -> None:
    for name, server in importlib.import_module(f"scripts.servers.{kind}").start().items():
        running[name] = {
            "kind": kind, "url": server.url, "pid": str(server.pid), "folder": str(server.folder.resolve())
        }  # fmt: skip
    _save(running)


def _stop(server: dict[str, str]) -> None:
    pid, folder = int(server["pid"]), Path(server["folder"])
    end = time.monotonic() + 10
    while is_running(pid, folder):
        os.kill(pid, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
        time.sleep(0.05)


def _running() -> dict[str, dict[str, str]]:
    try:
        known = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return {}
    return {name: s for name, s in known.items() if is_running(int(s["pid"]), Path(s["folder"]))}


def _save(running: dict[str, dict[str, str]]) -> None:
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps(running, indent=1))


if __name__ == "__main__":
    sys.exit(main())
