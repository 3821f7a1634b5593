import os
import subprocess
import sys
import textwrap
import time

import pytest

from semantic_llm_cache import set_default_backend
from semantic_llm_cache.backends import MemoryBackend


@pytest.fixture
def default_backend():
    """A default backend of this test's own."""
    backend = MemoryBackend()
    set_default_backend(backend)
    yield backend
    set_default_backend(None)


@pytest.fixture
def script(tmp_path):
    """Run a Python script in a process of its own, in `tmp_path`; return (status, stdout, stderr, seconds)."""

    def run(text, *arguments, env=None, timeout=60):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text))
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning:__main__", str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
        )
        return done.returncode, done.stdout, done.stderr, time.perf_counter() - began

    return run
