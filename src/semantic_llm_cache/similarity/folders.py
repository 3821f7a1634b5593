"""Folders that hold a model: what tells their content apart, and whether they bring code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from semantic_llm_cache.exceptions import EmbeddingUnavailableError

__all__ = ["content_of", "refuse_code"]

_WHOLE = 1 << 20
_SAMPLES = 64
_SAMPLE = 4096
_OWN = "sentence_transformers."


def content_of(folder: Path) -> str:
    """Return a short digest of a model's folder: of small files as a whole, of 64 places in each large one.

    Training changes all of the weights, so that these places tell two models apart, in milliseconds and without
    reading gigabytes. The folder's place on the machine does not count, nor do hidden files and descriptions.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if not path.is_file() or path.suffix == ".md" or any(part.startswith(".") for part in inside.parts):
            continue
        size = path.stat().st_size
        digest.update(f"{inside.as_posix()}\0{size}\0".encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            if size <= _WHOLE:
                digest.update(file.read())
                continue
            for i in range(_SAMPLES):
                file.seek((size - _SAMPLE) * i // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def refuse_code(folder: Path) -> None:
    """Raise EmbeddingUnavailableError for a folder whose list of modules names classes from outside the library.

    Versions of the library before 6 import them from a folder on this machine even with ``trust_remote_code=False``.
    """
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        named = [str(module["type"]) for module in modules]
    except FileNotFoundError:
        return  # a plain model of transformers, which refuses code itself
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EmbeddingUnavailableError(f"{folder / 'modules.json'} cannot be read: {type(error).__name__}") from error
    foreign = [name for name in named if not name.startswith(_OWN)]
    if foreign:
        raise EmbeddingUnavailableError(
            f"the model in {folder} brings code of its own ({', '.join(foreign)}), which is never run here: use "
            "another model, or give a function from text to vector as the embedder"
        )
