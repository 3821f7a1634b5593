"""Pages that are written from tables in the code."""

from __future__ import annotations

import sys
from pathlib import Path


def write_or_check(page: Path, text: str, script: str) -> int:
    """Write a page; with ``--check`` on the command line compare it instead, and return 1 when it differs."""
    if "--check" not in sys.argv[1:]:
        page.write_text(text, encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return 0
    print(f"docs/{page.name} is not up to date: run python scripts/{script}.py")
    return 1
