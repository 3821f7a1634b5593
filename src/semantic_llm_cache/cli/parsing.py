"""What commands are declared with: a command, its options and arguments, and the types of their values.

A command is a function that takes the parsed values as one object and returns the exit code:

    @command("ls", "ls --db cache.db")
    @option("--limit", type=COUNT, default=20, metavar="N", help="most entries to list")
    def ls(args: Args) -> int: ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from semantic_llm_cache.cli.errors import PROGRAM, CommandError

__all__ = [
    "COUNT", "SECONDS", "SHARE", "SIMILARITY", "Args", "Command", "Number", "ValueType", "argument", "command",
    "option",
]  # fmt: skip

Args = SimpleNamespace
"""The parsed values of a command, by name."""

_Declared = TypeVar("_Declared", bound="Callable[..., Any] | click.Command")


if TYPE_CHECKING:
    ValueType = click.ParamType[Any]
else:
    ValueType = click.ParamType  # which is not generic in older versions
"""The base of types of values: `convert` returns the value of a word, or calls `fail`."""


class Number(ValueType):
    """A number within a range.

    Args:
        wanted: what it must be, in words.
        low, high: the range.
        open_ends: whether the ends of the range are refused.
        whole: whether it must be a whole number.
    """

    name = "number"

    def __init__(self, wanted: str, low: float, high: float, *, open_ends: bool = False, whole: bool = False) -> None:
        self.wanted, self.low, self.high, self.open_ends, self.whole = wanted, low, high, open_ends, whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail for anything else."""
        try:
            number: float = (int if self.whole else float)(value)
        except ValueError:
            number = math.nan
        if not self.low <= number <= self.high or (self.open_ends and number in (self.low, self.high)):
            self.fail(f"{value!r} must be {self.wanted}", param, ctx)
        return number


COUNT = Number("a whole number of at least 1", 1, 10**18, whole=True)
SHARE = Number("a share between 0 and 1, such as 0.02 for 2 percent", 0, 1, open_ends=True)
SIMILARITY = Number("a similarity from 0 to 1, such as 0.95", 0, 1)
SECONDS = Number("seconds, such as 0.5", 0, 1e9)


class Command(click.Command):
    """A command whose help shows its arguments, its options in sections, and examples.

    Args:
        args: as for `click.Command`.
        examples: command lines without the program's name.
        attrs: as for `click.Command`.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        """Call the function with the parsed values.

        Raises:
            CommandError: exit code 2: a value is not UTF-8 text. The paths of files may hold any bytes.
        """
        for param in self.params:
            value = ctx.params.get(param.name or "")
            texts = value if isinstance(value, tuple) else (value,)
            if param.type is click.STRING and any(isinstance(text, str) and _undecoded(text) for text in texts):
                name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name.strip("[]")
                raise CommandError(f"{name} is not valid UTF-8 text: see the encoding of the terminal", code=2)
        assert self.callback is not None
        return self.callback(Args(**ctx.params))

    def sections(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return what the help lists: by title, the arguments or options and what each is."""
        found: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                found.setdefault(getattr(param, "section", "Options"), []).append(record)
        return found

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: `format_options` writes all sections, in every version of click."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments and the options, by section."""
        for title, rows in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each in a line of its own."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {PROGRAM} {line}\n")


class _Option(click.Option):
    def __init__(self, *args: Any, section: str = "Options", **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.section = section


class _Argument(click.Argument):
    section = "Arguments"

    def __init__(self, *args: Any, help: str, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.help = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.human_readable_name.strip("[]"), self.help or ""


def _undecoded(text: str) -> bool:
    """Return whether text holds bytes that could not be decoded: Python keeps them as lone surrogates."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def command(name: str, *examples: str) -> Callable[[Callable[[Args], int]], Command]:
    """Make a command of a function; its docstring is the description, `examples` are lines without the program."""
    return click.command(name, cls=Command, examples=examples)


def option(*names: str, section: str = "Options", **attrs: Any) -> Callable[[_Declared], _Declared]:
    """Declare an option, as `click.option` does; `section` is its title in the help."""
    add = click.option(*names, cls=_Option, section=section, **attrs)
    add.__doc__ = f"Add {names[0]}."
    return add


def argument(name: str, *, help: str, **attrs: Any) -> Callable[[_Declared], _Declared]:
    """Declare a positional argument, as `click.argument` does, with a line of help."""
    usual = name.upper() if attrs.get("required", True) else f"[{name.upper()}]"
    add = click.argument(name, cls=_Argument, help=help, metavar=attrs.pop("metavar", usual), **attrs)
    add.__doc__ = f"Add {name.upper()}."
    return add
