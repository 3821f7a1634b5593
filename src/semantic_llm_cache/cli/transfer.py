"""Commands that move entries between caches: `export`, `import`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.cli.common import CommandError, add_command, add_namespace, add_target, open_backend
from semantic_llm_cache.cli.output import clean, counted, print_json
from semantic_llm_cache.values.odd_text import portable

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers

__all__ = ["add_export_parser", "add_import_parser"]


def add_export_parser(subparsers: Subparsers) -> None:
    """Add `export`."""
    parser = add_command(
        subparsers,
        "export",
        "write entries to a file or to stdout",
        description="Write entries, answers and embeddings included, to FILE: one JSON array,\nor one object "
        "a line where FILE ends in .jsonl. With - they go to stdout,\none object a line.",
        examples="export backup.jsonl --db cache.db\nexport - --db cache.db --namespace demo | head -1",
    )
    parser.add_argument("file", metavar="FILE", help="file to write, or - for stdout")
    add_target(parser)
    add_namespace(parser)
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> int:
    filepath = None if args.file == "-" else args.file
    if filepath is not None and not Path(filepath).absolute().parent.is_dir():
        raise CommandError(f"cannot write {clean(filepath)}: its directory does not exist")
    entries = asyncio.run(_read(args, filepath))
    if filepath is None:
        for entry in entries:
            print(portable(json.dumps(entry, ensure_ascii=False)))
    elif args.json:
        print_json({"exported": len(entries), "file": filepath})
    else:
        print(f"Exported {counted(len(entries), 'entry', 'entries')} to {clean(filepath)}.")
    return 0


async def _read(args: argparse.Namespace, filepath: str | None) -> list[dict[str, Any]]:
    from semantic_llm_cache.stats import export_cache

    async with open_backend(args) as backend:
        entries: list[dict[str, Any]] = await export_cache(args.namespace, filepath, backend=backend)
    return entries


def add_import_parser(subparsers: Subparsers) -> None:
    """Add `import`."""
    parser = add_command(
        subparsers,
        "import",
        "read entries that `export` wrote",
        description="Read entries that `export` wrote, and store them; those under the same keys\n"
        "are replaced. A --db file that does not exist is made.",
        examples="import backup.jsonl --db b.db\nexport - --db a.db | semantic-llm-cache import - --db b.db",
    )
    parser.add_argument("file", metavar="FILE", help="file to read, or - for stdin")
    add_target(parser)
    parser.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="semantic-llm-cache-") as folder:
        path = Path(args.file)
        if args.file == "-":
            data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
            # The suffix says which of the two forms it is; an array begins with a bracket.
            path = Path(folder) / ("stdin.json" if data.lstrip().startswith(b"[") else "stdin.jsonl")
            path.write_bytes(data)
        elif not path.is_file():
            raise CommandError(f"cannot read {clean(args.file)}: no such file")
        count = asyncio.run(_write(args, path))
    if args.json:
        print_json({"imported": count})
    else:
        print(f"Imported {counted(count, 'entry', 'entries')}.")
    return 0


async def _write(args: argparse.Namespace, path: Path) -> int:
    from semantic_llm_cache.stats import import_cache

    async with open_backend(args, create=True) as backend:
        try:
            count: int = await import_cache(str(path), backend=backend)
        except ValueError as error:
            raise CommandError(f"{clean(args.file)} is not an export: {error}") from error
    return count
