"""`PromptTemplate`: tells the fixed parts of a prompt, which are scope, from its slots, which are the text."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from string import Formatter

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.keys.request import Request, clean_text, key_of_text

__all__ = ["PromptTemplate", "slots_of_text", "text_of_slots"]

_logger = logging.getLogger("semantic_llm_cache")

_BETWEEN = "---"
_LOOKS_LIKE_BETWEEN = re.compile(r"^---+$", re.MULTILINE)
_Found = tuple[str, int, int]  # the name of a slot, and where it starts and ends
_Span = tuple[str, int, int, int]  # the name of a slot, where its text starts and ends, and where the slot ends
_HELP = 'give a format string such as "Answer about {topic} using {context}", or a regex with named groups'


def text_of_slots(slots: Sequence[str]) -> str:
    """Return the slots as one text, from which `slots_of_text` reads them: a line of three dashes between two.

    Example:
        >>> text_of_slots(["cats", "a book"])
        'cats\\n---\\na book'
    """
    return f"\n{_BETWEEN}\n".join(_LOOKS_LIKE_BETWEEN.sub(r"\g<0>-", slot) for slot in slots)


def slots_of_text(text: str) -> list[str]:
    """Return the slots that `text_of_slots` has joined."""
    slots: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line == _BETWEEN:
            slots.append([])
        else:
            slots[-1].append(line[:-1] if len(line) > 3 and _LOOKS_LIKE_BETWEEN.match(line) else line)
    return ["\n".join(lines) for lines in slots]


def _values(text: str, spans: Iterable[_Span]) -> dict[str, str]:
    return {name: text[start:end] for name, start, end, _ in spans}


class PromptTemplate:
    """A prompt with named slots.

    Args:
        template: a format string ("Answer about {topic} using {context}"; what comes after the name, as in
            "{price:.2f}", is ignored), or a regex with named groups, compiled or as text. A regex given as text
            lets `.` match line ends. It must match the whole prompt. White space around the prompt does not count.
        exact: names of slots that must be equal for a hit; the others are compared by meaning.

    Raises:
        TypeError: `template` is neither text nor a compiled regex of text.
        ValueError: it has no named slot, two slots with nothing between them, or not the slots in `exact`.

    Example:
        >>> template = PromptTemplate("Answer about {topic} using {context}.")
        >>> template.slots("Answer about cats using a book.")
        {'topic': 'cats', 'context': 'a book'}
        >>> template.slots("Who are you?") is None
        True
    """

    def __init__(self, template: str | re.Pattern[str], exact: Iterable[str] = ()) -> None:
        self._literals: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        if isinstance(template, re.Pattern) and isinstance(template.pattern, str):
            self._pattern = template
        elif not isinstance(template, str):
            raise TypeError(f"prompt_template={shown(template)} is a {type(template).__name__}: {_HELP}")
        elif "(?P<" in template:
            self._pattern = _compiled(template)
        if self._pattern is not None:
            names = tuple(self._pattern.groupindex)
        else:
            assert isinstance(template, str)
            self._literals, names = _read_format(template)
        if not names:
            raise ValueError(f"prompt_template={shown(template)} has no named slot: {_HELP}")
        self._all = names
        self.names = tuple(dict.fromkeys(names))
        self.exact = frozenset((exact,) if isinstance(exact, str) else exact)
        if not self.exact <= set(self.names):
            unknown = sorted(self.exact - set(self.names))[0]
            raise ValueError(f"exact_slots: {unknown!r} is no slot of prompt_template=, which has {list(self.names)}")
        self._warned = False

    def slots(self, text: str) -> dict[str, str] | None:
        """Return the slots of a prompt by name, or None if it does not fit."""
        text = clean_text(text)
        spans = self._spans(text)
        return None if spans is None else _values(text, spans)

    def applied(self, request: Request) -> Request:
        """Return a request whose text is the slots and whose scope holds the rest; the same one if it does not fit."""
        if request.slots or not request.text:
            return request
        text = request.text
        spans = self._spans(text)
        if spans is None:
            if not self._warned:
                self._warned = True
                _logger.warning(
                    "semantic-llm-cache: a prompt does not fit prompt_template=; such prompts are compared whole, and "
                    "never with prompts that fit (logged once)"
                )
            return request
        around, at = [], 0
        for _, start, _, after in sorted(spans, key=lambda span: span[1:]):
            around.append(text[at:start])
            at = after  # white space at the end of a slot does not count; before it, indentation may have meaning
        around.append(text[at:])
        values = _values(text, spans)
        compared = [values[name] for name in self.names if name not in self.exact]
        scope = {
            "of": request.scope_hash,
            "template": around,
            "slots": list(self.names),
            "exact": {name: values[name] for name in self.names if name in self.exact},
        }
        made = Request(request.namespace, scope, text_of_slots(compared))
        made.slots = len(compared)
        if request.key != key_of_text(request.scope_hash, text):
            made.key = request.key  # from `key_func`
        return made

    def _spans(self, text: str) -> list[_Span] | None:
        """Return where the slots lie in a clean text, without white space around them; None if the text differs."""
        found = self._found_by_pattern(text) if self._pattern is not None else self._found_by_literals(text)
        if found is None:
            return None
        spans = []
        for name, start, end in found:
            value = text[start:end]
            start += len(value) - len(value.lstrip())
            spans.append((name, start, start + len(value.strip()), end))
        values = _values(text, spans)
        # A name that occurs twice stands for one value.
        return spans if all(text[start:end] == values[name] for name, start, end, _ in spans) else None

    def _found_by_pattern(self, text: str) -> list[_Found] | None:
        assert self._pattern is not None
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        found = [(name, *match.span(name)) for name in self.names if match.span(name)[0] >= 0]
        found += [(name, len(text), len(text)) for name in self.names if match.span(name)[0] < 0]
        ordered = sorted(found, key=lambda part: part[1:])
        if any(one[2] > other[1] for one, other in pairwise(ordered)):
            return None  # one group within another
        return found

    def _found_by_literals(self, text: str) -> list[_Found] | None:
        """Find each fixed part at the first place where it occurs, the last one at the end: linear in the text."""
        first, last = self._literals[0], self._literals[-1]
        end = len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last) or end < len(first):
            return None
        found, at = [], len(first)
        for name, literal in zip(self._all, self._literals[1:-1], strict=False):
            to = text.find(literal, at, end)
            if to < 0:
                return None
            found.append((name, at, to))
            at = to + len(literal)
        found.append((self._all[-1], at, end))
        return found


def _compiled(template: str) -> re.Pattern[str]:
    try:
        return re.compile(template.strip(), re.DOTALL)
    except re.error as error:
        raise ValueError(f"prompt_template={shown(template)} is no valid regex: {error}") from None


def _read_format(template: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fixed parts of a format string, one more than slots, and the names of the slots in order."""
    literals = [""]
    names: list[str] = []
    try:
        for literal, name, _, _ in Formatter().parse(clean_text(template)):
            literals[-1] += literal
            if name is None:
                continue
            if not name or name.isdigit():
                raise ValueError(f"prompt_template={shown(template)} has a slot without a name: {_HELP}")
            if names and not literals[-1]:
                raise ValueError(f"prompt_template={shown(template)} has two slots with nothing between them")
            names.append(name)
            literals.append("")
    except ValueError as error:
        if "prompt_template" in str(error):
            raise
        raise ValueError(f"prompt_template={shown(template)} is no format string: {error}") from None
    return tuple(literals), tuple(names)
