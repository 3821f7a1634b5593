"""Sessions of onnxruntime for all-MiniLM-L6-v2, in fp32 and in 8 bits."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import quantized, weights
from semantic_llm_cache.similarity.base import Vector

__all__ = ["import_onnxruntime", "open_fp32", "open_int8", "stored_vectors"]

_TELEMETRY_ENV = "ORT_DISABLE_TELEMETRY"
_GRAPH = Path(__file__).parent / "data" / f"{weights.MODEL_NAME}.onnx"
_NAME_IN_GRAPH = b"." + b"/" * 110 + b"model.safetensors"
"""Placeholder for the weights file in the graphs; replaced by a path of exactly this length."""
_log = logging.getLogger("semantic_llm_cache")


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off.

    From 1.29 on it reports sessions to its maker unless this variable is set when it is first imported;
    the thread that does so also keeps forked children from exiting. Set the variable to 0 to allow it. If the
    host program has already imported it, as much as possible is turned off.
    """
    if "onnxruntime" in sys.modules:
        import onnxruntime

        if not os.environ.get(_TELEMETRY_ENV):
            onnxruntime.disable_telemetry_events()
        return onnxruntime
    given = os.environ.get(_TELEMETRY_ENV)
    os.environ[_TELEMETRY_ENV] = given or "1"
    try:
        import onnxruntime
    finally:
        if given is None:
            del os.environ[_TELEMETRY_ENV]
    return onnxruntime


def open_fp32(path: Path, threads: int, device: str) -> Any:
    """Return a session with the published weights, read from their file.

    Raises:
        EmbeddingUnavailableError: onnxruntime is too old, or cannot use that device.
    """
    onnxruntime = _onnxruntime()
    target = Path(os.path.realpath(path))  # onnxruntime refuses links, and the hub's cache consists of links
    options = _options(onnxruntime, threads, target.parent)
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise EmbeddingUnavailableError("device='cuda' needs the package onnxruntime-gpu and a GPU")
        # TF32 keeps 10 bits: the same text would differ by 1e-3.
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
    return onnxruntime.InferenceSession(_graph(_GRAPH, target.name), options, providers=providers)


def open_int8(path: Path) -> Any:
    """Return a session with 8-bit weights, which are made from the published ones at `path` if necessary.

    It computes in the calling thread only: steps of a few microseconds lose more by waking a thread than they gain.
    Several threads may use it at once.

    Raises:
        EmbeddingUnavailableError, ValueError, OSError, errors of onnxruntime: it does not work here.
    """
    onnxruntime = _onnxruntime()
    made = quantized.obtain(path)
    target = path.parent / quantized.FILE if made.path is None else Path(os.path.realpath(made.path))
    options = _options(onnxruntime, 1, target.parent)
    if made.path is None:
        in_memory = getattr(options, "add_external_initializers_from_files_in_memory", None)
        if in_memory is None:
            raise EmbeddingUnavailableError(
                f"no file for the 8-bit weights can be written ({made.problem}), and without one a later version of "
                "onnxruntime is needed: pip install --upgrade onnxruntime"
            )
        _log.warning("the 8-bit weights are kept in memory, for no file could be written (%s)", made.problem)
        name = _padded(target.name).decode()
        in_memory([name], [made.data], [len(made.data or b"")])
    graph = _graph(quantized.GRAPH, target.name)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def stored_vectors() -> Vector:
    """Return the fp32 vectors of `selftest.PRECISION_TEXTS`."""
    with np.load(quantized.CALIBRATION) as stored:
        vectors: Vector = stored["test"].astype(np.float32)
    return vectors


def _onnxruntime() -> Any:
    onnxruntime = import_onnxruntime()
    # The first version with an option for the weights' folder of a graph in memory.
    if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < (1, 21):
        raise EmbeddingUnavailableError(
            f"onnxruntime {onnxruntime.__version__} is too old, 1.21 is needed: pip install --upgrade onnxruntime"
        )
    return onnxruntime


def _options(onnxruntime: Any, threads: int, folder: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between runs would cost the host program a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return options


def _graph(file: Path, weights_name: str) -> bytes:
    """Return the graph, made to read its weights from the file of that name."""
    return file.read_bytes().replace(_NAME_IN_GRAPH, _padded(weights_name))


def _padded(weights_name: str) -> bytes:
    name = os.fsencode(weights_name)
    lead = len(_NAME_IN_GRAPH) - len(name) - 1
    if lead < 1:
        raise EmbeddingUnavailableError(f"the name of the weights file is too long: {weights_name!r}")
    # Runs of slashes count as one, so the padded path is the same file.
    return b"." + b"/" * lead + name
