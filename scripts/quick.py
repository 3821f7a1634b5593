"""Run the tests of what changed, for at most a minute: `python scripts/quick.py [BASE] [--list]`.

Changed is what differs from BASE (default: where this branch left `main`), committed or not. Changed test files come
first, then test files that name a changed module, then the other files of its room's folder. The run ends after
`SECONDS`, and then says how many files have not been run: `make test` runs them all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "semantic_llm_cache"
SECONDS = 50
ALWAYS = "tests/architecture"
ENDS = "QUICK_ENDS"
"""The environment variable that tells the workers when to end."""
REACHED: set[str] = set()


def git(*words: str) -> list[str]:
    """Return the lines that a git command prints."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def changed(base: str | None) -> list[str]:
    """Return the files that differ from `base`, and new ones."""
    since = base or git("merge-base", "HEAD", "main")[0]
    names = [*git("diff", "--name-only", since), *git("ls-files", "--others", "--exclude-standard")]
    return [name for name in dict.fromkeys(names) if (ROOT / name).exists()]


def nearest(names: Iterable[str], tests: dict[str, str]) -> list[str]:
    """Return test files for the changed files, the nearest first.

    Args:
        names: changed files, relative to the root.
        tests: text of each test file, by its name.
    """
    own, naming, rooms = [], [], []
    for name in names:
        path = Path(name)
        if path.name.startswith("test_") and name in tests:
            own.append(name)
        elif path.parts[:2] == ("src", PACKAGE) and path.suffix == ".py":
            module = ".".join(path.with_suffix("").parts[1:]).removesuffix(".__init__")
            # `from room import module` names it too.
            other = f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}\n"
            words = (f"{module} ", f"{module}\n", other)
            naming += [test for test, text in tests.items() if any(word in text for word in words)]
            room = path.parts[2] if len(path.parts) > 3 else "package"
            rooms += [test for test in tests if test.startswith(f"tests/{room}/")]
        elif path.suffix in (".md", ".yml") or path.parts[0] in ("docs", "examples"):
            rooms += [test for test in tests if test in ("tests/package/test_pages.py", "tests/package/test_readme.py")]
        elif path.parts[0] == "benchmarks":
            rooms += [test for test in tests if test.startswith("tests/package/test_benchmark")]
    return list(dict.fromkeys([*own, *naming, *rooms]))


def pytest_runtest_logreport(report: Any) -> None:
    """Note which files have been reached; pytest calls this in the process that reports."""
    REACHED.add(report.nodeid.partition("::")[0])


def pytest_runtest_teardown(item: Any) -> None:
    """End the run in time; pytest calls this in the process that runs the test."""
    if time.time() > float(os.environ.get(ENDS, "inf")):
        item.session.shouldstop = "the time is up"


def main(arguments: list[str] | None = None) -> int:
    """Run them; return pytest's status, or 0 where nothing changed."""
    parser = argparse.ArgumentParser(description="Run the tests of what changed, for at most a minute.")
    parser.add_argument("base", nargs="?", help="a commit; default: where this branch left main")
    parser.add_argument("--list", action="store_true", help="print the test files and run nothing")
    options = parser.parse_args(arguments)
    paths = sorted(ROOT.glob("tests/**/test_*.py"))
    tests = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    names = changed(options.base)
    wanted = nearest(names, tests)
    if not wanted:
        print(f"{len(names)} files changed, none with tests of their own")
        return 0
    if options.list:
        print("\n".join(wanted))
        return 0
    import pytest

    os.environ[ENDS] = str(time.time() + SECONDS)
    files = [*wanted, *(name for name in tests if name.startswith(ALWAYS) and name not in wanted)]
    how = ["-q", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", "-p", "scripts.quick"]
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    status = int(pytest.main([*how, *files]))
    left = [name for name in files if name not in sys.modules["scripts.quick"].REACHED]
    if left:
        print(f"\n{len(files) - len(left)} of {len(files)} files were run in {SECONDS} s; `make test` runs all of them")
    return 0 if status == 2 and left else status


if __name__ == "__main__":
    sys.exit(main())
