import subprocess
import sys
import textwrap

import pytest

pytest.register_assert_rewrite("semantic_llm_cache.testing")


@pytest.fixture
def run_script():
    """Run a Python script in a process of its own; its status must be 0. Returns what it printed."""

    def run(text, *arguments, timeout=60):
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(text), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
