"""docs/architecture.md says what the code is: the layers, and the files on each path."""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from scripts.structure import rules  # noqa: E402
from scripts.structure.tree import ROOT  # noqa: E402

PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_has_the_layers_of_the_rules():
    block = PAGE.split("```layers\n")[1].split("```")[0]
    shown = [tuple(name.strip() for name in line.split("|")) for line in block.splitlines()]
    assert shown == [tuple("__init__" if name == ROOT else name for name in line) for line in rules.LAYERS]


def test_each_path_is_as_short_as_it_is_said_to_be():
    parts = re.split(r"^## The path of ", PAGE, flags=re.MULTILINE)[1:]
    found = {part.split("\n")[0]: re.findall(r"^(\d+)\. `([\w/.]+\.py)`", part, re.MULTILINE) for part in parts}
    most = {"an exact hit": 8, "a near hit": 20, "a missed stream": 15}
    assert {name: len(files) <= most[name] for name, files in found.items()} == dict.fromkeys(most, True)
    for name, files in found.items():
        assert [int(number) for number, _ in files] == list(range(1, len(files) + 1)), name
        assert len({file for _, file in files}) == len(files), name


def test_the_files_named_are_there():
    package = PROJECT / "src" / "semantic_llm_cache"
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", PAGE)) - {"httpx/_auth.py"}
    assert [name for name in sorted(named) if not any((root / name).exists() for root in (package, PROJECT))] == []
    parts = PAGE.split("### Inside the engine")[1].split("## Who")[0]
    there = {path.name for path in (package / "engine").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", parts)) >= there
