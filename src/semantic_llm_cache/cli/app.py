"""The entry point: parse the command line, run one command, turn errors into one line and an exit code."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

import click

from semantic_llm_cache._version import __version__
from semantic_llm_cache.cli.completion import COMPLETE_VARIABLE, completion_options
from semantic_llm_cache.cli.errors import PROGRAM, CommandError
from semantic_llm_cache.cli.output import clean, colour, say
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.redaction import without_urls

__all__ = ["COMMANDS", "NOTES", "main", "program"]


class _Row(NamedTuple):
    """A command: the module with a function of its name, and a line for the list of commands."""

    module: str
    summary: str


COMMANDS: Mapping[str, _Row] = {
    "demo": _Row("demo.command", "send 300 labelled prompts through a cache and report"),
    "serve": _Row("serve", "run the cache as a proxy in front of model providers"),
    "top": _Row("top", "show the live traffic of a running server"),
    "dashboard": _Row("dashboard", "look into a cache with a browser"),
    "model": _Row("model", "install, locate or check the embedding model"),
    "stats": _Row("stats", "show how much a cache holds and what it has saved"),
    "ls": _Row("reading", "list entries, newest first"),
    "show": _Row("reading", "show one entry in full"),
    "explain": _Row("explain", "say why a prompt is, or is not, answered from the cache"),
    "judge": _Row("judge", "say whether two answers say the same, and why"),
    "report": _Row("feedback", "report that a stored answer is wrong or right"),
    "replay": _Row("replay", "replay a log of prompts and answers, count hits and wrong hits"),
    "calibrate": _Row("calibrate", "find the threshold that keeps wrong hits to a target"),
    "clear": _Row("manage", "delete all entries, or those of one namespace"),
    "invalidate": _Row("manage", "delete entries by a text in the prompt, or by tag"),
    "export": _Row("transfer", "write entries to a file or to stdout"),
    "import": _Row("transfer", "read entries that `export` wrote"),
    "copy": _Row("copy", "copy a cache into another one, of any kind"),
    "reembed": _Row("reembed", "move a cache to another embedding model while it is in use"),
    "reencrypt": _Row("reencrypt", "encrypt a cache with another key, or for the first time"),
    "warm": _Row("warm", "fill a cache from logs of calls"),
}
"""The commands, in the order of the help. A command's module is imported when the command is used."""

_SYNONYMS = {
    "delete": "invalidate", "rm": "invalidate", "remove": "invalidate", "get": "show", "cat": "show", "info": "stats",
    "flush": "clear", "purge": "clear", "load": "import", "dump": "export", "migrate": "copy",
    "encrypt": "reencrypt", "rotate": "reencrypt",
}  # fmt: skip
_DASHED = re.compile(r"-[^-]\S*\s")
_OPTION_SYNONYMS = {"--threshold": "--similarity"}
_LONG_WORD = re.compile(r"\S{201,}")


class _Program(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"semantic_llm_cache.cli.{COMMANDS[cmd_name].module}")
        found: click.Command = getattr(module, f"{cmd_name}_command")
        found.short_help = COMMANDS[cmd_name].summary
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            meant = _SYNONYMS.get(args[0].lower())
            near = [meant] if meant else difflib.get_close_matches(args[0].lower(), COMMANDS, n=1, cutoff=0.5)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.summary) for name, row in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in _EXAMPLES:
                formatter.write(f"  {PROGRAM} {line}\n")
        formatter.write_paragraph()
        formatter.write_text(NOTES)


_EXAMPLES = (
    "demo",
    "ls --db cache.db --limit 10",
    'explain "5 miles in km" "6 miles in km"',
    "replay log.jsonl --max-error 0.02",
    "warm litellm.jsonl --db cache.db",
    "copy cache.db redis://localhost:6379/0",
)
NOTES = """\
Commands that read a cache take --db PATH or --url URL, or the URL in the variable SEMANTIC_LLM_CACHE_URL. \
Exit codes: 0 done; 1 it failed, and one line on stderr says why; 2 the command line is wrong or a part is not \
installed."""


@click.group(
    PROGRAM,
    cls=_Program,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@completion_options
def program() -> None:
    """A semantic cache for LLM calls: look into a cache, manage it, see one at work."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; never raise for a user's mistake.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Example:
        >>> main(["ls", "--db", "no-such-file.db"])
        1
    """
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Text that the terminal cannot show must not make the command fail.
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(list(words))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (such as `head`) has exited. Flushing the rest of the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # the exit code that a shell reports for SIGPIPE
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", 130)
    except click.exceptions.Exit as stop:  # click has printed the help or the version
        return stop.exit_code
    except click.UsageError as error:
        asked = f"{PROGRAM} {words[0]}" if words[0] in COMMANDS else PROGRAM
        text = without_urls(_ended(_message(error)), words)
        if isinstance(error, click.NoSuchOption) and any(_DASHED.match(word) for word in words):
            text += " A text that begins with - goes after --, as in: explain -- TEXT."
        elif (file := _misplaced_file(error)) is not None:
            text += f": write --db {file} to name a cache."
        return _fail(f"{text} See: {asked} --help", 2)
    except CommandError as error:
        text = str(error) if error.redacted else without_urls(str(error), words)
        return _fail(text, error.code)
    except (PromptCacheError, ImportError, OSError) as error:
        return _fail(without_urls(str(error), words) or type(error).__name__, 1)


def _message(error: click.UsageError) -> str:
    """Return the message; for an unknown option that other programs have, with ours if the command has it."""
    text = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and not error.possibilities:
        meant = _OPTION_SYNONYMS.get(error.option_name)
        if meant is not None and any(meant in parameter.opts for parameter in error.ctx.command.params):
            return f"{_ended(text)} Did you mean {meant!r}?"
    return text


def _open_standard_streams() -> None:
    """Replace streams that were closed when the process began, as by ``>&-``: Python has None for them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends


def _run(words: list[str]) -> int:
    asked = os.environ.get(COMPLETE_VARIABLE)
    if asked:
        from click.shell_completion import shell_complete

        return shell_complete(program, {}, PROGRAM, COMPLETE_VARIABLE, asked)
    nothing_asked = not words
    with program.make_context(PROGRAM, words, color=colour()) as ctx:
        if nothing_asked:
            say(program.get_help(ctx), err=True)
            return 2
        code: int = program.invoke(ctx)
        return code


def _misplaced_file(error: click.UsageError) -> str | None:
    """Return the path of a file that the command line names without ``--db``, if that is the error."""
    if error.ctx is None or not any(param.name == "db" for param in error.ctx.command.params):
        return None
    found = re.fullmatch(r"Got unexpected extra arguments? \((\S+)\)", error.format_message())
    return found[1] if found is not None and os.path.isfile(found[1]) else None


def _ended(text: str) -> str:
    return text if text.endswith((".", "?", ")")) else f"{text}."


def _fail(text: str, code: int) -> int:
    """Print text, which holds no secret, as one line on stderr, without control characters."""
    line = clean(" ".join(text.split()))
    line = _LONG_WORD.sub(lambda word: f"{word.group()[:200]}...", line)
    say(f"{PROGRAM}: {line}", err=True)
    return code
