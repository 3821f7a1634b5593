"""The code blocks of a Markdown page, and a run of them.

Blocks of one page run in order, in one process and one folder, each ``python`` block as a module of its own. In a
``console`` block each line that starts with ``$`` is a command: ``semantic-llm-cache`` runs in this process, anything
else in a shell. The lines below it are what it must print, where ``...`` stands for anything; without such lines any
output will do. A ``text`` block with ``title="Output"`` is what the ``python`` block before it must print, with the
same ``...``. A ``python`` block with a title such as ``title="ask.py"`` is also written to that file, for the commands
below it. A ``sh`` block is not run.

A comment before a block changes that: ``<!-- no-run: reason -->``. A comment ``<!-- set-up`` ... ``-->`` holds Python
that runs and is not shown, such as a local provider. Names that a block defines are there in those after it. ``await``
may stand outside a function, as in a notebook.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from semantic_llm_cache.cli import main

_BLOCK = re.compile(
    r"^<!-- *set-up\n(?P<setup>.*?)^-->$"
    r"|(?:^[ \t]*<!-- *no-run: *(?P<reason>[^\n]+?) *-->\s*\n)?"
    r"^(?P<indent>[ \t]*)```(?P<language>[a-z]*)(?P<more>[^\n]*)\n(?P<code>.*?)^(?P=indent)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, the line it starts on, why it does not run, the file it is written to.

    The language is ``set-up`` for hidden blocks, and ``output`` for what the block before it must print.
    """

    language: str
    code: str
    line: int
    reason: str | None = None
    file: str | None = None


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        hidden = match["setup"] is not None
        start = match.start("setup" if hidden else "code")
        code = match["setup"] if hidden else re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        language = "set-up" if hidden else match["language"]
        if language == "text" and 'title="Output"' in match["more"]:
            language = "output"
        named = re.search(r'title="([^"]+\.py)"', match["more"] or "")
        line = text[:start].count("\n") + 1
        found.append(Block(language, code, line, match["reason"], named[1] if named else None))
    return found


class PageRun:
    """Runs the blocks of one page in the current folder."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.names: dict[str, Any] = {}
        self.loop = asyncio.new_event_loop()
        self.printed = ""

    def close(self) -> None:
        """Close what the blocks left open: clients, caches, the loop."""

        async def close() -> None:
            for value in self.names.values():
                if isinstance(value, type) or get_origin(value) is not None:  # an alias has the class's attributes
                    continue
                if inspect.iscoroutinefunction(getattr(value, "close", None)):
                    await value.close()

        self.loop.run_until_complete(close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, block: Block) -> None:
        """Run a block.

        Raises:
            AssertionError: a command failed or printed something else.
            Exception: whatever the block raised.
        """
        if block.language == "console":
            for command, expected in commands(block.code):
                self._command(command, expected)
        elif block.language == "output":
            _compare("the program", self.printed, block.code)
        else:
            if block.file:
                Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                Path(block.file).write_text(block.code, encoding="utf-8")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self._python(block)
            self.printed = out.getvalue()

    def _python(self, block: Block) -> None:
        name = f"page_{self.page.stem.replace('-', '_')}_{block.line}"
        module = types.ModuleType(name)
        module.__dict__.update(self.names, __name__=name, __file__=str(self.page))
        # Annotations are resolved through the module, and functions are known by its name.
        sys.modules[name] = module
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile("\n" * (block.line - 1) + block.code, str(self.page), "exec", flags, dont_inherit=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = eval(code, module.__dict__)
            if inspect.iscoroutine(result):
                self.loop.run_until_complete(result)
        self.names.update({k: v for k, v in vars(module).items() if not k.startswith("__")})

    def _command(self, command: str, expected: str) -> None:
        words = shlex.split(command, comments=True)
        if words[0] == "semantic-llm-cache" and not {"|", ">", "<", "&&", ";"} & set(words):
            out, errors = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                status = main(words[1:])
            printed = out.getvalue() + errors.getvalue()
        else:
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            done = subprocess.run(
                ["sh", "-c", command],
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            status, printed = done.returncode, done.stdout + done.stderr
        if not expected.strip():
            assert status == 0, f"{command!r} ended with status {status}:\n{printed}"
            return
        _compare(repr(command), printed, expected)


def _compare(what: str, printed: str, expected: str) -> None:
    pattern = ".*?".join(re.escape(part) for part in _trimmed(expected).split("..."))
    assert re.fullmatch(pattern, _trimmed(printed), re.DOTALL), (
        f"{what} printed\n{_trimmed(printed)}\nand the page says\n{_trimmed(expected)}"
    )


def commands(code: str) -> list[tuple[str, str]]:
    """Return the commands of a ``console`` block, each with what the page says it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.removeprefix("> "), found[-1][1])
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def _trimmed(text: str) -> str:
    """Return the text without spaces at the ends of lines and blank lines at its own ends."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip()
