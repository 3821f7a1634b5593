"""The command `semantic-llm-cache`: look into a cache, manage it, and see one at work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from semantic_llm_cache._installation import PACKAGES, install

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; without the extra `cli`, name the remedy and return 2.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Example:
        >>> main(["ls", "--db", "no-such-file.db"])
        1
    """
    missing = [name for name in PACKAGES["cli"] if find_spec(name) is None]
    if missing:
        print(
            f"semantic-llm-cache: the command line needs {' and '.join(missing)}: {install('cli')} (or the extra "
            '"cli" of this package: pip install ".[cli]" in the checkout)',
            file=sys.stderr,
        )
        return 2
    from semantic_llm_cache.cli import app

    return app.main(argv)
