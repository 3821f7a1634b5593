"""Code shared by the commands: choosing and opening the cache, and errors."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from semantic_llm_cache.redaction import looks_like_url

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.storage.contract import StorageBackend

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = [
    "PROGRAM",
    "URL_VARIABLE",
    "CommandError",
    "add_command",
    "add_namespace",
    "add_place",
    "add_target",
    "chosen",
    "entry_record",
    "help_format",
    "open_backend",
    "place",
]

PROGRAM = "semantic-llm-cache"
URL_VARIABLE = "SEMANTIC_LLM_CACHE_URL"


class CommandError(Exception):
    """A command failed; the text is the line shown to the user.

    Args:
        message: what is wrong and what to do.
        code: exit code: 1 for a failure, 2 for an invalid command line.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def add_command(
    subparsers: Subparsers, name: str, summary: str, *, examples: str, description: str = ""
) -> argparse.ArgumentParser:
    """Add a command whose help ends with examples, and return its parser."""
    lines = "".join(f"  {PROGRAM} {line}\n" for line in examples.strip().splitlines())
    return subparsers.add_parser(
        name,
        help=summary,
        description=description or summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{lines}",
        formatter_class=help_format,
    )


def help_format(prog: str) -> argparse.HelpFormatter:
    """Return the argparse formatter that does not wrap descriptions, with room for our longest command."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=18, width=80)


def add_target(parser: argparse.ArgumentParser, default: str = f"the variable {URL_VARIABLE}") -> None:
    """Add --db, --url and --json; `default` describes the cache used without them."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--db", metavar="PATH", help="SQLite file that holds the cache")
    group.add_argument("--url", help=f"URL of the cache, e.g. sqlite:///cache.db (default: {default})")
    parser.add_argument("--json", action="store_true", help="print JSON for programs to read")


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Add --namespace."""
    parser.add_argument("--namespace", metavar="NAME", help="only entries of this namespace")


@asynccontextmanager
async def open_backend(
    args: argparse.Namespace, *, create: bool = False, pretend: bool = False
) -> AsyncIterator[StorageBackend]:
    """Open the cache that `args` names, and close it at the end.

    Args:
        args: parsed arguments with `db` and `url`.
        create: whether to create a missing file; otherwise it is an error, because a typing
            mistake must not look like an empty cache.
        pretend: open an empty cache in memory in place of a missing file.

    Raises:
        CommandError: no cache is named, its name is invalid, or its file does not exist.
    """
    url, path = _target(args)
    if path is not None:
        if path.is_dir():
            raise CommandError(f"{path} is a directory: name the SQLite file in it")
        if pretend and not path.exists():
            from semantic_llm_cache.backends import MemoryBackend

            async with MemoryBackend() as stand_in:
                yield stand_in
            return
        if not create and not path.exists():
            raise CommandError(f"no cache at {_shown(path)}: the file does not exist")
        if create and not path.absolute().parent.is_dir():
            raise CommandError(f"cannot make {_shown(path)}: its directory does not exist")
    async with _make(url, path) as backend:
        yield backend


def _shown(path: Path) -> str:
    text = str(path)  # may be a URL without its scheme, with a password
    return "this place (a URL begins with its scheme, such as redis://)" if looks_like_url(text) else text


def place(text: str) -> argparse.Namespace:
    """Return the arguments of `open_backend` for a cache given as one word: a URL, or the path of a SQLite file."""
    known = "://" in text or text.startswith("unix:")
    return argparse.Namespace(db=None if known else text, url=text if known else None)


def add_place(parser: argparse.ArgumentParser, name: str = "cache", metavar: str = "CACHE") -> None:
    """Add a positional argument for `place` beside --db and --url, and --json."""
    parser.add_argument(name, nargs="?", metavar=metavar, help="URL, or path of a SQLite file")
    add_target(parser)


def chosen(args: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments of `open_backend` for parsed arguments of `add_place`.

    Raises:
        CommandError: the cache is named twice.
    """
    if args.cache is None:
        return args
    if args.db is not None or args.url is not None:
        raise CommandError("the cache is named twice: give it once", code=2)
    return place(args.cache)


def _target(args: argparse.Namespace) -> tuple[str, Path | None]:
    """Return the URL ("" for --db) and the path of the SQLite file, None for other backends."""
    if args.db is not None:
        if "://" in args.db:
            raise CommandError("--db takes the path of a SQLite file: give a URL as --url", code=2)
        return "", Path(args.db)
    url = args.url if args.url is not None else os.environ.get(URL_VARIABLE, "")
    if not url:
        raise CommandError(f"which cache? Pass --db PATH (a SQLite file) or --url URL, or set {URL_VARIABLE}", code=2)
    try:
        parts = urlsplit(url)
    except ValueError:  # its message may quote the URL; `backend_from_url` reports the fault
        return url, None
    if parts.scheme == "memory":
        raise CommandError("memory:// lives inside one process: there is nothing to see from here", code=2)
    if parts.scheme == "sqlite" and not parts.netloc:
        return url, Path(unquote(parts.path)[1:])
    return url, None


def _make(url: str, path: Path | None) -> StorageBackend:
    if not url:
        from semantic_llm_cache.backends import SQLiteBackend

        return SQLiteBackend(db_path=str(path))
    from semantic_llm_cache.storage.registry import backend_from_url

    try:
        return backend_from_url(url)
    except ValueError as error:
        raise CommandError(str(error), code=2) from error


def entry_record(key: str, entry: CacheEntry, *, vector: bool = True) -> dict[str, Any]:
    """Return an entry as a dict for JSON: all its fields, the answer in its stored (tagged) form.

    Args:
        key: its key.
        entry: the entry.
        vector: whether to include the embedding, as a list of floats.
    """
    from semantic_llm_cache.values.encoding import dumps
    from semantic_llm_cache.values.odd_text import unescape

    record: dict[str, Any] = {"key": key}
    for field in dataclasses.fields(entry):
        if field.name != "embedding":
            record[field.name] = getattr(entry, field.name)
    record["response"] = json.loads(unescape(dumps(entry.response)))
    if vector:
        record["embedding"] = None if entry.embedding is None else [float(x) for x in entry.embedding]
    return record
