"""The package is built as `scripts/structure/rules.py` says. `python scripts/house.py` prints the figures."""

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from scripts.structure.rules import RULES  # noqa: E402
from scripts.structure.tree import find_package, read_tree  # noqa: E402


@pytest.fixture(scope="module")
def tree():
    return read_tree(find_package(PROJECT))


@pytest.mark.parametrize("rule", RULES)
def test_nothing_breaks_the_rule_about(tree, rule):
    faults = RULES[rule](tree)
    if faults:
        pytest.fail("\n".join(map(str, faults)), pytrace=False)
