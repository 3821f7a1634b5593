"""Write docs/cli.md from the commands themselves: `python scripts/write_cli.py [--check]`.

With --check nothing is written; the status is 1 when the page is not what the commands say.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from pathlib import Path

import click

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [place for place in (str(PROJECT), str(PROJECT / "src")) if place not in sys.path]

from scripts.generated import write_or_check  # noqa: E402

from semantic_llm_cache.cli.app import COMMANDS, NOTES, program  # noqa: E402
from semantic_llm_cache.cli.errors import PROGRAM  # noqa: E402
from semantic_llm_cache.cli.parsing import Command  # noqa: E402

PAGE = PROJECT / "docs" / "cli.md"
INTRODUCTION = """\
# The command line

`pip install ".[cli]"` in the checkout brings what the command needs (click and rich); the extras `semantic` and `all`
include it. `semantic-llm-cache COMMAND --help` shows what this page says.

{notes}

**Output.** On a terminal it is coloured and cut to the width; `NO_COLOR=1` turns colours off. Piped, it is plain text,
and nothing is cut. `--json` prints JSON. Progress goes to stderr. Control characters in stored texts are shown escaped,
such as `\\x1b`.

**Completion.** `semantic-llm-cache --install-completion` sets it up for the shell in `$SHELL` (bash, zsh or fish; or
name one): it writes the script into your data folder and adds one line to `.bashrc` or `.zshrc`. `--show-completion`
only prints the script.

Written by `python scripts/write_cli.py`; do not edit.
"""


def page() -> str:
    """Return the text of the page."""
    with click.Context(program, info_name=PROGRAM, **program.context_settings) as root:
        index = "\n".join(f"| [`{name}`](#{name}) | {_cell(row.summary)} |" for name, row in COMMANDS.items())
        parts = [
            INTRODUCTION.format(notes=textwrap.fill(NOTES, 120)),
            f"| Command | What it does |\n|---|---|\n{index}\n",
        ]
        parts += [_section(name, root) for name in COMMANDS]
    return "\n".join(parts)


def _section(name: str, root: click.Context) -> str:
    command = program.get_command(root, name)
    assert isinstance(command, Command)
    with click.Context(command, info_name=name, parent=root) as ctx:
        usage = " ".join((PROGRAM, name, *command.collect_usage_pieces(ctx)))
        parts = [f"## {name}", "", inspect.cleandoc(command.help or ""), "", "```sh", usage, "```", ""]
        for title, rows in command.sections(ctx).items():
            parts += [f"| {title} | |", "|---|---|", *(f"| `{_cell(what)}` | {_cell(text)} |" for what, text in rows)]
            parts.append("")
    parts += ["```sh", *(f"{PROGRAM} {line}" for line in command.examples), "```", ""]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the page, or check it."""
    return write_or_check(PAGE, page(), "write_cli")


if __name__ == "__main__":
    sys.exit(main())
