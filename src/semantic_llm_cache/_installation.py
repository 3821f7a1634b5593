"""What is installed: the packages of each extra, and whether another project has the same import name.

On PyPI another project has the name of this one, and its import name. Installed into one environment, each overwrites
files of the other. Importing this module raises ImportError then. It has to be among the first imports of each
package here whose name is a module there: if the other project's ``__init__.py`` is the one that runs, it reaches one
of those first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

__all__ = ["PACKAGES", "install", "refuse_other_project"]

PACKAGES: dict[str, tuple[str, ...]] = {
    "cli": ("click", "rich"),
    "semantic": ("onnxruntime", "tokenizers", "click", "rich"),
    "sentence-transformers": ("sentence-transformers",),
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "ollama": ("ollama",),
    "langchain": ("langchain-core",),
    "litellm": ("litellm",),
    "pydantic-ai": ("pydantic-ai-slim",),
    "server": ("starlette", "uvicorn", "httpx", "pydantic", "click", "rich", "prometheus-client", "tomli"),
    "plot": ("matplotlib",),
    "redis": ("redis", "hiredis"),
    "postgres": ("asyncpg",),
    "prometheus": ("prometheus-client",),
    "otel": ("opentelemetry-api",),
    "encryption": ("cryptography",),
}
"""The packages of the extras that error messages name; ``pyproject.toml`` has their versions."""

_NAME = __name__.partition(".")[0]
_THEIRS = frozenset({"core.py", "similarity.py", "storage.py"})
"""Files that the other project's folder has, all of them, and the folder of this one never."""
_MARKS = _THEIRS | {"__init__.py"}
"""Without an ``__init__.py`` it is no package: a user's own folder of this name, or a checkout."""


def install(extra: str) -> str:
    """Return the command that installs the packages of an extra.

    It does not name the extra: ``pip install "semantic-llm-cache[...]"`` may fetch the other project.

    Example:
        >>> install("redis")
        'pip install redis hiredis'
    """
    return f"pip install {' '.join(PACKAGES[extra])}"


def refuse_other_project(own: str, places: Iterable[str]) -> None:
    """Raise ImportError if the other project is installed in the same environment.

    Args:
        own: the folder of this package.
        places: the folders that modules are imported from, as in `sys.path`.
    """
    for place in dict.fromkeys((os.path.dirname(own), *places)):
        try:
            folder = os.path.join(place, _NAME)
            if not _MARKS.issubset(os.listdir(folder)):
                continue
        except (OSError, ValueError, TypeError):  # no folder of this name there
            continue
        raise ImportError(
            f"another project that is also called semantic-llm-cache is installed in {os.path.abspath(folder)}. It has "
            f"the import name of this one, in {own}, and the two cannot be used together. Run `pip uninstall "
            "semantic-llm-cache` until it finds nothing more, delete that folder if it is still there, and install "
            "this project again: `pip install .` in its checkout"
        )


refuse_other_project(os.path.dirname(os.path.abspath(__file__)), sys.path)
