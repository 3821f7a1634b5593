"""The entry point: parse the command line, run one command, turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NoReturn

from semantic_llm_cache._version import __version__
from semantic_llm_cache.cli.common import PROGRAM, CommandError, help_format
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.redaction import without_urls

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers

__all__ = ["build_parser", "main"]

_EPILOG = """\
examples:
  semantic-llm-cache demo
  semantic-llm-cache ls --db cache.db --limit 10
  semantic-llm-cache explain "5 miles in km" "6 miles in km"
  semantic-llm-cache replay log.jsonl --max-error 0.02
  semantic-llm-cache warm litellm.jsonl --db cache.db
  semantic-llm-cache copy cache.db redis://localhost:6379/0
  semantic-llm-cache invalidate "opening hours" --db cache.db

Commands that read a cache take --db PATH or --url URL, or the URL in the
variable SEMANTIC_LLM_CACHE_URL. Exit codes: 0 done; 1 it failed, and one line
on stderr says why; 2 the command line is wrong or a part is not installed.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; a command's function is in `args.run`."""
    # Only argparse code is imported here: a command imports what it needs when it runs.
    from semantic_llm_cache.cli.calibrate import add_calibrate_parser
    from semantic_llm_cache.cli.copy import add_copy_parser
    from semantic_llm_cache.cli.demo.command import add_demo_parser
    from semantic_llm_cache.cli.explain import add_explain_parser
    from semantic_llm_cache.cli.feedback import add_report_parser
    from semantic_llm_cache.cli.manage import add_clear_parser, add_invalidate_parser
    from semantic_llm_cache.cli.model import add_model_parser
    from semantic_llm_cache.cli.reading import add_ls_parser, add_show_parser, add_stats_parser
    from semantic_llm_cache.cli.reembed import add_reembed_parser
    from semantic_llm_cache.cli.replay import add_replay_parser
    from semantic_llm_cache.cli.transfer import add_export_parser, add_import_parser
    from semantic_llm_cache.cli.warm import add_warm_parser

    parser: argparse.ArgumentParser = _Parser(
        prog=PROGRAM,
        description="A semantic cache for LLM calls: look into a cache, manage it, see one at work.",
        epilog=_EPILOG,
        formatter_class=help_format,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    adders: tuple[Callable[[Subparsers], object], ...] = (
        add_demo_parser,
        add_stats_parser,
        add_ls_parser,
        add_show_parser,
        add_explain_parser,
        add_report_parser,
        add_replay_parser,
        add_calibrate_parser,
        add_clear_parser,
        add_invalidate_parser,
        add_export_parser,
        add_import_parser,
        add_copy_parser,
        add_reembed_parser,
        add_warm_parser,
        add_model_parser,
    )
    for add in adders:
        add(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """Never shows a whole URL: errors quote the command line, and a URL may hold a password."""

    words: ClassVar[Sequence[str]] = ()

    def error(self, message: str) -> NoReturn:
        super().error(without_urls(message, self.words))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; never raise for a user's mistake.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Example:
        >>> main(["ls", "--db", "no-such-file.db"])
        1
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Text that the terminal cannot show must not make the command fail.
            stream.reconfigure(errors="backslashreplace")
    words = _Parser.words = sys.argv[1:] if argv is None else argv
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed the help, the version or the error
        return stop.code if isinstance(stop.code, int) else 0
    try:
        _check_text(args)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (such as `head`) has exited. Flushing the rest of the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # the exit code that a shell reports for SIGPIPE
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except CommandError as error:
        return _fail(error, error.code, words)
    except (PromptCacheError, ImportError, OSError) as error:
        return _fail(error, 1, words)


# Arguments that must be text; file paths may contain any bytes.
_TEXTS = ("prompt", "other", "search", "namespace", "key", "pattern", "tag", "guards", "embedder", "model")


def _check_text(args: argparse.Namespace) -> None:
    """Raise CommandError for text that is not UTF-8."""
    for name in _TEXTS:
        value = getattr(args, name, None)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any("\ud800" <= char <= "\udfff" for char in text):
                raise CommandError(f"{name.upper()} is not valid UTF-8 text: see the encoding of the terminal", code=2)


def _fail(error: Exception, code: int, words: Sequence[str]) -> int:
    text = without_urls(str(error), words)
    print(f"{PROGRAM}: {' '.join(text.split()) or type(error).__name__}", file=sys.stderr)
    return code
