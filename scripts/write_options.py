"""Write docs/options.md from the table of options: `python scripts/write_options.py [--check]`.

With --check nothing is written; the status is 1 when the page is not what the table says.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT / "src") not in sys.path:
    sys.path.insert(0, str(PROJECT / "src"))

from semantic_llm_cache.calls.refusals import REASONS  # noqa: E402
from semantic_llm_cache.engine.options import DOCUMENTED  # noqa: E402

PAGE = PROJECT / "docs" / "options.md"
INTRODUCTION = """\
# Options

Every option, its default, and what it is in one line. `SemanticCache` takes the first table; `@cache` takes both.
The docstrings of `SemanticCache` and `cache` say more. An unknown option raises a `TypeError` that names the
nearest one.

Written by `python scripts/write_options.py`; do not edit.
"""
REFUSALS = """\
## Why an answer was not stored

`Lookup.stored_reason` begins with one of these words; after a colon follows what there is to say, which holds no prompt
and no answer. It is empty when the answer was stored, and for a hit. The words are stable. A response of a wrapped
client says the same in the header `x-cache-store: no; reason=tool-calls; detail="..."`. The log says it once for each
word and cache: as information where the caller or an option asked for it, as a warning where not, and not at all where
the caller learns of it in another way.

| Word | What it means | Log |
|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION]
    for title, options in DOCUMENTED.items():
        rows = [f"| `{name}` | `{option.default!r}` | {option.doc} |" for name, option in options.items()]
        parts.append("\n".join([f"## {title}", "", "| Option | Default | What it is |", "|---|---|---|", *rows, ""]))
    levels = {
        word: "" if known.reported else "info" if known.expected else "warning" for word, known in REASONS.items()
    }
    rows = [f"| `{word}` | {known.meaning} | {levels[word]} |" for word, known in REASONS.items()]
    return "\n".join([*parts, REFUSALS + "\n".join(rows), ""])


def main() -> int:
    """Write the page, or check it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/options.md is not up to date: run python scripts/write_options.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
