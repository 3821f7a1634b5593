"""`py.typed` is a promise: what decorated functions are to a type checker."""

import pathlib
import re
import subprocess
import sys

import semantic_llm_cache

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]


def mypy(file):
    command = [
        sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty",
        "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"),
        str(HERE / file),
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_package_says_it_is_typed():
    assert (pathlib.Path(semantic_llm_cache.__file__).parent / "py.typed").exists()


def test_what_must_be_accepted_is():
    done = mypy("typing_checks.py")
    assert (done.returncode, done.stdout) == (0, "")


def test_what_must_be_refused_is_and_nothing_else():
    done = mypy("typing_rejects.py")
    found = {
        (int(line), code)
        for line, code in re.findall(r"^.*typing_rejects\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    }
    expected = {
        (number, match[1])
        for number, line in enumerate((HERE / "typing_rejects.py").read_text().splitlines(), 1)
        if (match := re.search(r"# refused: ([\w-]+)$", line))
    }
    assert len(expected) == 11
    assert found == expected, done.stdout
