"""The pages are in plain English: `scripts/style.py` finds nothing in them."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from scripts.style import MOST_WORDS, PROJECT, faults, pages

LONG = " ".join(["word"] * (MOST_WORDS + 1))
SHORT = "A " + " ".join(["word"] * (MOST_WORDS - 1))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_is_in_plain_english(page):
    assert list(faults(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"Short.\n\n{LONG}.", 3),
        (f"- short\n- {LONG}", 2),
        (f"| a | b |\n|---|---|\n| short | {LONG} |", 3),
        (f"A link [{LONG}](page.md).", 1),
        ("We do it\nin order to help.", 1),
        ("First.\n\nWe utilize it.", 3),
    ],
)
def test_a_fault_is_found_with_its_line(text, line):
    assert [found for found, _ in faults(text)] == [line]


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{LONG}\n```",
        f"    {LONG}",
        f"<!-- {LONG} -->",
        f"`{LONG}`",
        f"{SHORT}. {SHORT}.",
        f"{SHORT}: {SHORT}; {SHORT}.",
        "Leveraged is another word.",
    ],
)
def test_code_and_short_sentences_are_no_fault(text):
    assert list(faults(text)) == []
