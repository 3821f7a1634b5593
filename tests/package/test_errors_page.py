"""docs/reference/errors.md names every exception, warning and log line of the package."""

import ast
import pathlib
import re

import pytest

from semantic_llm_cache import exceptions

ROOT = pathlib.Path(__file__).parents[2]
SOURCE = ROOT / "src" / "semantic_llm_cache"
PAGE = " ".join((ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8").split())
PLACE_OF_TEXT = {"log_once": 1, "warn_once": 1, "warn_explicit": 0, "warn": 0, "warning": 0, "error": 0, "info": 0}
PASSED_ON = {"engine/notices.py", "engine/engine.py"}
"""Files whose methods log a text that they are given."""


def pieces(node, function):
    """Yield the fixed pieces of the texts that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.split(r"%[sdr]", node.value)
    elif isinstance(node, ast.JoinedStr):
        parts = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
        yield [piece for part in parts for piece in re.split(r"%[sdr]", part)]
    elif isinstance(node, ast.IfExp):
        yield from pieces(node.body, function)
        yield from pieces(node.orelse, function)
    elif isinstance(node, ast.Name):
        for other in ast.walk(function):
            if isinstance(other, ast.Assign) and any(getattr(t, "id", None) == node.id for t in other.targets):
                yield from pieces(other.value, function)


def lines():
    """Yield the place and the longest fixed piece of each line that is logged or warned of."""
    for file in sorted(SOURCE.rglob("*.py")):
        place = file.relative_to(SOURCE).as_posix()
        source = file.read_text(encoding="utf-8")
        if place in PASSED_ON or not any(f".{by}(" in source for by in PLACE_OF_TEXT):
            continue
        waiting = [(ast.parse(source), None)]
        while waiting:
            node, function = waiting.pop()
            function = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
            waiting += [(child, function) for child in ast.iter_child_nodes(node)]
            text = logged(node)
            for found in pieces(text, function) if text is not None else ():
                yield f"{place}:{node.lineno}", _longest(found)


def _longest(found):
    """Return the longest piece up to the advice that follows a colon."""
    longest = max((piece.replace("semantic-llm-cache: ", "").strip(" ,;:().") for piece in found), key=len)
    return " ".join(longest.partition(": ")[0].partition(". ")[0].split())


def logged(call):
    """Return the text of a call that logs or warns, else None."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    of = ast.unparse(call.func.value)
    by = call.func.attr
    if by not in PLACE_OF_TEXT or (by in ("warning", "error", "info") and not of.endswith(("logger", "log"))):
        return None
    return call.args[PLACE_OF_TEXT[by]]


LINES = sorted(set(lines()))


def test_the_lines_of_the_source_are_found():
    assert len(LINES) > 50
    assert "works again" in dict(LINES).values()


@pytest.mark.parametrize(("place", "text"), LINES, ids=[place for place, _ in LINES])
def test_a_line_of_the_log_is_on_the_page(place, text):
    assert text in PAGE, f"{place} says {text!r}: add it to docs/reference/errors.md, with what to do"


@pytest.mark.parametrize("name", exceptions.__all__)
def test_an_exception_is_on_the_page(name):
    assert f"### {name} " in PAGE
