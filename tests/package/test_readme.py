"""The README's Python runs as written."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

README = pathlib.Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"(?P<mark><!-- *no-run *-->\s*\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = list(BLOCK.finditer(README.read_text(encoding="utf-8")))
RUN = [
    pytest.param(
        match["code"], id=f"line {README.read_text(encoding='utf-8')[: match.start('code')].count(chr(10)) + 1}"
    )
    for match in BLOCKS
    if not match["mark"]
]


def test_there_are_blocks_and_nearly_all_run():
    assert RUN
    assert len(BLOCKS) - len(RUN) <= len(BLOCKS) // 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all blocks: they are read, and run, in order."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.parametrize("code", RUN)
def test_block_runs(code, folder):
    # Its own process, so that each block stands by itself, as it is copied.
    script = folder / "block.py"
    script.write_text(code, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SEMANTIC_LLM_CACHE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = README.parent / page
    missing = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()]
    assert not missing


def test_it_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) < 150
