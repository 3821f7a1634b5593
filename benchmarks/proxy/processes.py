"""The processes of these benchmarks: started, waited for, measured and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.peers import ROOT, PeerUnavailable

__all__ = ["Started", "free_port", "started", "started_proxy"]


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Started:
    """A server that answers at a port.

    Args:
        process: the first of its processes.
        port: where it answers.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def _pids(self) -> list[int]:
        found, new = [], [self._process.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    new += map(int, (thread / "children").read_text().split())
        return found

    def cpu(self) -> float:
        """Return the seconds of CPU that its processes have used."""
        ticks = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Return the bytes of memory that its processes hold."""
        pages = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        """Return how many files and sockets its processes have open."""
        count = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                count += len(os.listdir(f"/proc/{pid}/fd"))
        return count


@contextlib.contextmanager
def started(
    command: Sequence[str], port: int, log: Path, environ: Mapping[str, str] | None = None, seconds: float = 120
) -> Iterator[Started]:
    """Start a server, wait until its port answers, and end it afterwards.

    Raises:
        PeerUnavailable: it ended, or did not answer in time; with the end of its log.
    """
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), **(environ or {})}
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=variables, start_new_session=True)
    try:
        _wait(process, port, log, seconds)
        yield Started(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > end:
            said = " ".join(log.read_text(errors="replace").strip().splitlines()[-2:])
            raise PeerUnavailable(f"the server did not start: {said}")
        time.sleep(0.1)


def started_proxy(
    upstream: str, log: Path, workers: int = 1, url: str | None = None, more: Sequence[str] = ()
) -> contextlib.AbstractContextManager[Started]:
    """Start the proxy in front of an upstream."""
    port = free_port()
    words = ["serve", "--upstream", upstream, "--port", str(port), "--workers", str(workers), "--log-level", "warning"]
    words += ["--url", url] if url is not None else []
    return started([sys.executable, "-m", "semantic_llm_cache", *words, *more], port, log)
