"""docs/reference/environment.md names every variable that the package reads."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
VARIABLE = re.compile(r"SEMANTIC_LLM_CACHE_[A-Z_]*[A-Z]")
INSIDE = {"SEMANTIC_LLM_CACHE_COMPLETE"}
"""Set by the completion script, for the command that it calls."""


def named(folder, pattern):
    return {name for file in folder.rglob(pattern) for name in VARIABLE.findall(file.read_text(encoding="utf-8"))}


def test_every_variable_of_the_source_and_the_pages_is_on_the_page():
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    known = set(VARIABLE.findall(page)) | INSIDE
    settings = {name for name in named(ROOT / "src", "*.py") if name.startswith("SEMANTIC_LLM_CACHE_SERVER")}
    assert named(ROOT / "src", "*.py") - settings - known == set()
    assert {name for name in named(ROOT / "docs", "*.md") if "SERVER" not in name} - known == set()
    assert "SEMANTIC_LLM_CACHE_SERVER_CONFIG" in known
