"""Commands that move entries between caches: `export`, `import`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from semantic_llm_cache.cli.common import CommandError, cache_options, namespace_option, open_backend, run_async
from semantic_llm_cache.cli.output import clean, counted, print_json, say
from semantic_llm_cache.cli.parsing import Args, argument, command
from semantic_llm_cache.values.odd_text import portable

__all__ = ["export_command", "import_command"]


@command("export", "export backup.jsonl --db cache.db", "export - --db cache.db --namespace demo | head -1")
@argument("file", type=click.Path(), help="File to write, or - for stdout.")
@cache_options()
@namespace_option
def export_command(args: Args) -> int:
    """Write entries, answers and embeddings included, to FILE: one JSON array, or one object a line where FILE ends in
    .jsonl. With - they go to stdout, one object a line.
    """
    filepath = None if args.file == "-" else args.file
    if filepath is not None and not Path(filepath).absolute().parent.is_dir():
        raise CommandError(f"cannot write {clean(filepath)}: its directory does not exist")
    entries = run_async(_read(args, filepath))
    if filepath is None:
        for entry in entries:
            print(portable(json.dumps(entry, ensure_ascii=False)))
    elif args.json:
        print_json({"exported": len(entries), "file": filepath})
    else:
        say(f"Exported {counted(len(entries), 'entry', 'entries')} to {clean(filepath)}.")
    return 0


async def _read(args: Args, filepath: str | None) -> list[dict[str, Any]]:
    from semantic_llm_cache.stats import export_cache

    async with open_backend(args) as backend:
        entries: list[dict[str, Any]] = await export_cache(args.namespace, filepath, backend=backend)
    return entries


@command("import", "import backup.jsonl --db b.db", "export - --db a.db | semantic-llm-cache import - --db b.db")
@argument("file", type=click.Path(), help="File to read, or - for stdin.")
@cache_options()
def import_command(args: Args) -> int:
    """Read entries that `export` wrote, and store them. Entries with the same keys are replaced. A --db file that does
    not exist is created.
    """
    with tempfile.TemporaryDirectory(prefix="semantic-llm-cache-") as folder:
        path = Path(args.file)
        if args.file == "-":
            data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
            # The suffix says which of the two forms it is; an array begins with a bracket.
            path = Path(folder) / ("stdin.json" if data.lstrip().startswith(b"[") else "stdin.jsonl")
            path.write_bytes(data)
        elif not path.is_file():
            raise CommandError(f"cannot read {clean(args.file)}: no such file")
        count = run_async(_write(args, path))
    if args.json:
        print_json({"imported": count})
    else:
        say(f"Imported {counted(count, 'entry', 'entries')}.")
    return 0


async def _write(args: Args, path: Path) -> int:
    from semantic_llm_cache.stats import import_cache

    async with open_backend(args, create=True) as backend:
        try:
            count: int = await import_cache(str(path), backend=backend)
        except ValueError as error:
            raise CommandError(f"{clean(args.file)} is not an export: {error}") from error
    return count
