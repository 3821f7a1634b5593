"""`py.typed` is a promise: what decorated functions are to a type checker."""

import json
import pathlib
import re
import subprocess
import sys
from collections import defaultdict

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


def refused():
    """Return the lines of ``typing_rejects.py`` to refuse, each with the code of mypy's error."""
    lines = enumerate((HERE / "typing_rejects.py").read_text().splitlines(), 1)
    return {number: match[1] for number, line in lines if (match := re.search(r"# refused: ([\w-]+)$", line))}


def test_what_must_be_refused_is_and_nothing_else():
    done = mypy("typing_rejects.py")
    found = {
        (int(line), code)
        for line, code in re.findall(r"^.*typing_rejects\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    }
    assert len(refused()) == 42
    assert found == set(refused().items()), done.stdout


def test_pyright_accepts_and_refuses_the_same():
    # The package's own copy, which fetches nothing at run time; it reports what pyright reports.
    command = [
        sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable,
        "--project", str(HERE / "pyright.json"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = defaultdict(dict)
    for problem in json.loads(done.stdout)["generalDiagnostics"]:
        place = problem["range"]["start"]["line"] + 1
        found[pathlib.Path(problem["file"]).name].setdefault(place, problem["message"])
    assert found["typing_checks.py"] == {}
    assert found["typing_rejects.py"].keys() == refused().keys(), found
