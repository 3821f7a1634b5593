"""The packages that we compare with, each installed in its own environment."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench

ROOT = Path(__file__).resolve().parent.parent
WORKERS = Path(__file__).resolve().parent / "workers"

PYPI = ["semantic-llm-cache==0.1.0"]
CASHEWS = ["cashews==7.6.0"]
GPTCACHE = ["gptcache==0.1.44", "faiss-cpu", "sqlalchemy"]


class PeerUnavailable(Exception):
    """A peer could not be installed or started; says why."""


def _place(name: str, requirements: Sequence[str], parent: Path | None) -> Path:
    tag = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:8]
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return (parent or ROOT / ".venvs") / f"bench-{name}-{python}-{tag}"


def _command(arguments: Sequence[str], what: str) -> None:
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("ERROR")), "")
        raise PeerUnavailable(f"{what} failed: {last or done.stdout[-200:].strip()}")


def environment(name: str, requirements: Sequence[str], *, parent: Path | None = None) -> Path:
    """Return the Python of a virtual environment with `requirements`; made at the first call, then kept.

    Raises:
        PeerUnavailable: it could not be made.
    """
    place = _place(name, requirements, parent)
    python = place / "bin" / "python"
    ready = place / "ready"
    if not ready.exists():
        shutil.rmtree(place, ignore_errors=True)
        _command([sys.executable, "-m", "venv", str(place)], f"making an environment for {name}")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _command([*pip, *requirements], f"installing {' '.join(requirements)}")
        ready.touch()
    return python


def earlier_source(commit: str) -> Path:
    """Return the folder with our package as it was at an earlier commit.

    Raises:
        PeerUnavailable: this is no clone of the repository that has the commit.
    """
    place = ROOT / ".venvs" / f"bench-earlier-{commit}"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        archive = place / "src.tar"
        _command(["git", "-C", str(ROOT), "archive", "-o", str(archive), commit, "src"], f"reading commit {commit}")
        shutil.unpack_archive(archive, place)
        archive.unlink()
        (place / "ready").touch()
    return place / "src"


@contextlib.contextmanager
def importable(name: str, requirements: Sequence[str], *, parent: Path | None = None) -> Iterator[None]:
    """Make `requirements` importable in this process, for comparisons that need one process.

    They are installed into a folder of their own, which goes to the end of `sys.path`: what this
    environment has itself comes first.

    Raises:
        PeerUnavailable: they could not be installed.
    """
    place = _place(name, requirements, parent)
    ready = place / "ready"
    if not ready.exists():
        shutil.rmtree(place, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _command([*pip, "--target", str(place), *requirements], f"installing {' '.join(requirements)}")
        ready.touch()
    sys.path.append(str(place))
    try:
        yield
    finally:
        sys.path.remove(str(place))


class Worker:
    """A program of `workers/`, by name, or a script, in an interpreter; it answers requests in lines of JSON.

    Args:
        python: the interpreter.
        script: the program.
        log: where its messages go.
        source: a folder with packages, which go before those that are installed.

    Raises:
        PeerUnavailable: it does not answer, with what it last said.
    """

    def __init__(self, python: str | Path, script: str | Path, log: Path, source: Path | None = None) -> None:
        run = [str(script)] if isinstance(script, Path) else ["-m", f"benchmarks.workers.{script}"]
        self._log = log
        environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        if source is not None:
            environ["PYTHONPATH"] = str(source)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(python), *run], cwd=ROOT,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ,
            )  # fmt: skip

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Return the result of one operation."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": operation, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise PeerUnavailable(f"the worker has ended: {' '.join(said)}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerUnavailable(answer["error"].strip().splitlines()[-1])
        return answer["result"]

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@contextlib.contextmanager
def peer(bench: Bench, name: str, requirements: Sequence[str], script: str) -> Iterator[Worker | None]:
    """Give a worker in its own environment; None, and a line in the table, when there is none to have."""
    if not bench.peers:
        bench.missing(" ".join(requirements), "peers were left out (--no-peers)")
        yield None
        return
    try:
        bench.say(f"{' '.join(requirements)}: installing if need be")
        worker = Worker(environment(name, requirements), script, bench.folder / f"{name}.log")
        bench.versions[name] = worker.ask("versions")
    except PeerUnavailable as error:
        bench.missing(" ".join(requirements), str(error))
        yield None
        return
    with worker:
        yield worker
