"""Code shared by the commands: choosing and opening the cache."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import click

from semantic_llm_cache.cli.errors import PROGRAM, CommandError
from semantic_llm_cache.cli.parsing import Args, argument, option
from semantic_llm_cache.redaction import looks_like_url

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = [
    "PROGRAM",
    "URL_VARIABLE",
    "CommandError",
    "cache_options",
    "chosen",
    "entry_record",
    "json_option",
    "namespace_option",
    "open_backend",
    "place",
    "place_argument",
    "run_async",
]

URL_VARIABLE = "SEMANTIC_LLM_CACHE_URL"

_Declared = TypeVar("_Declared", bound="Callable[..., Any]")

_Result = TypeVar("_Result")

KeyUse = Literal["if encrypted", "always", "never"]

json_option = option("--json", is_flag=True, show_default=False, help="Print JSON for programs to read.")
namespace_option = option("--namespace", metavar="NAME", help="Only entries of this namespace.")
place_argument = argument("cache", required=False, type=click.Path(), help="URL, or path of a SQLite file.")


def cache_options(
    default: str = f"the variable {URL_VARIABLE}", *, with_json: bool = True
) -> Callable[[_Declared], _Declared]:
    """Add --db, --url and, if wanted, --json; `default` describes the cache used without them."""

    def add(function: _Declared) -> _Declared:
        function = json_option(function) if with_json else function
        function = option(
            "--url", metavar="URL", help=f"URL of the cache, e.g. sqlite:///cache.db (default: {default})."
        )(function)
        return option("--db", metavar="PATH", type=click.Path(), help="SQLite file that holds the cache.")(function)

    return add


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run the work of a command to its end."""
    import asyncio  # here, since the help and completion of commands need none of it

    return asyncio.run(work)


@asynccontextmanager
async def open_backend(
    args: Args, *, create: bool = False, pretend: bool = False, key: KeyUse = "if encrypted"
) -> AsyncIterator[StorageBackend]:
    """Open the cache that `args` names, and close it at the end.

    Args:
        args: parsed arguments with `db` and `url`.
        create: whether to create a missing file; otherwise it is an error, because a typing
            mistake must not look like an empty cache.
        pretend: open an empty cache in memory in place of a missing file.
        key: whether to use the key of the environment: ``"always"``, ``"never"``, or ``"if encrypted"``, which
            includes a cache that `create` may create.

    Raises:
        CommandError: no cache is named, its name is invalid, its file does not exist, or its key is missing.
    """
    url, path = _target(args)
    if path is not None:
        if path.is_dir():
            raise CommandError(f"{_shown(path, url)} is a directory: name the SQLite file in it")
        if pretend and not path.exists():
            from semantic_llm_cache.backends import MemoryBackend

            async with MemoryBackend() as stand_in:
                yield stand_in
            return
        if not create and not path.exists():
            raise CommandError(f"no cache at {_shown(path, url)}: the file does not exist")
        if create and not path.absolute().parent.is_dir():
            raise CommandError(f"cannot create {_shown(path, url)}: its directory does not exist")
    async with _make(url, path) as backend:
        yield backend if key == "never" else await _opened(backend, needed=key == "always", create=create)


async def _opened(backend: StorageBackend, *, needed: bool, create: bool) -> StorageBackend:
    """Return the backend with its key, if it is encrypted."""
    from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE, encrypted_backend

    given = bool(os.environ.get(KEY_VARIABLE))
    encrypted = needed or await backend.get_state(KEYS_STATE) is not None
    if encrypted and not given:
        what = "this command" if needed else f"{backend.url} is encrypted: it"
        text = f"{what} needs the key in the variable {KEY_VARIABLE} (several as new,old)"
        raise CommandError(text, code=2, redacted=True)
    if not encrypted and not (create and given):
        return backend
    try:
        return encrypted_backend(backend)
    except ImportError as error:
        raise CommandError(str(error)) from error


def _shown(path: Path, url: str) -> str:
    text = str(path)  # may be a URL without its scheme, with a password, or the part of one up to its "#"
    hidden = looks_like_url(text) or "@" in url
    return "this place (a URL begins with its scheme, such as redis://)" if hidden else text


def place(text: str) -> Args:
    """Return the arguments of `open_backend` for a cache given as one word: a URL, or the path of a SQLite file."""
    known = "://" in text or text.startswith("unix:")
    return Args(db=None if known else text, url=text if known else None)


def chosen(args: Args) -> Args:
    """Return the arguments of `open_backend` for parsed arguments with `place_argument`.

    Raises:
        CommandError: the cache is named twice.
    """
    if args.cache is None:
        return args
    if args.db is not None or args.url is not None:
        raise CommandError("the cache is named twice: give it once", code=2)
    return place(args.cache)


def _target(args: Args) -> tuple[str, Path | None]:
    """Return the URL ("" for --db) and the path of the SQLite file, None for other backends."""
    if args.db is not None:
        if args.url is not None:
            raise CommandError("--db and --url both name the cache: give one of them", code=2)
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
    from semantic_llm_cache.storage.registry import plain_from_url

    try:
        return plain_from_url(url)
    except ValueError as error:
        # Its URLs are examples: of what was given, it quotes only what may be shown.
        raise CommandError(str(error), code=2, redacted=True) from error


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
