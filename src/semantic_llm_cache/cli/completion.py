"""Completion for shells: `--show-completion` prints the script, `--install-completion` makes the shell load it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from semantic_llm_cache.cli.errors import PROGRAM, CommandError
from semantic_llm_cache.cli.output import say

__all__ = ["COMPLETE_VARIABLE", "completion_options"]

COMPLETE_VARIABLE = "_SEMANTIC_LLM_CACHE_COMPLETE"
"""Set by the script when the shell asks for completions."""

_SHELLS = ("bash", "zsh", "fish")
_ZSH_START = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"
_Declared = TypeVar("_Declared", bound="Callable[..., Any]")


def completion_options(function: _Declared) -> _Declared:
    """Add the two options to the program."""
    for name, callback, help in (
        ("--show-completion", _show, "Print the completion script of a shell"),
        ("--install-completion", _install, "Set up completion for a shell"),
    ):
        function = click.option(
            name,
            is_flag=False,
            flag_value="auto",
            type=click.Choice(("auto", *_SHELLS)),
            metavar="[SHELL]",
            expose_value=False,
            is_eager=True,
            show_default=False,
            callback=callback,
            help=f"{help}: bash, zsh or fish (default: $SHELL).",
        )(function)
    return function


def _shell(given: str) -> str:
    name = Path(os.environ.get("SHELL", "")).name if given == "auto" else given
    if name not in _SHELLS:
        raise CommandError(f"which shell? Name it: --install-completion {'|'.join(_SHELLS)}", code=2)
    return name


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    source = kind(click.Command(PROGRAM), {}, PROGRAM, COMPLETE_VARIABLE).source()
    return source.replace("\n", f"\n{_ZSH_START}", 1) if shell == "zsh" else source


def _show(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        say(_script(_shell(value)))
        ctx.exit()


def _install(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None or ctx.resilient_parsing:
        return
    shell = _shell(value)
    home = Path.home()
    if shell == "fish":  # which loads the files of this folder by itself
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        script, startup = settings / "fish" / "completions" / f"{PROGRAM}.fish", None
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
        script = data / PROGRAM / f"complete.{shell}"
        startup = home / ".bashrc" if shell == "bash" else Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_script(shell), encoding="utf-8")
    if startup is not None:
        _source(script, startup)
    say(f"Completion for {shell} is installed ({script}). Open a new shell to use it.")
    ctx.exit()


def _source(script: Path, startup: Path) -> None:
    """Make the shell's start-up file load the script, once."""
    import shlex

    line = f"source {shlex.quote(str(script))}  # completion of {PROGRAM}"
    before = startup.read_text(encoding="utf-8", errors="surrogateescape") if startup.exists() else ""
    if line not in before.splitlines():
        end = "" if not before or before.endswith("\n") else "\n"
        with startup.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{end}{line}\n")
