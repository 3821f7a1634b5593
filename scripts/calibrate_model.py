"""Measure the constants that the 8-bit model needs, and write them to the package.

    python scripts/calibrate_model.py path/to/model.safetensors

Runs the float32 network over texts of this project and looks at what reaches its matrices. For the inputs of the
attention's and the first feed-forward matrix: each channel's mean, and a factor that evens out how far channels range.
For the output of GELU: the order of its channels by their largest values. And vectors of a few sentences, for the test
that the 8-bit model passes when it is loaded. Afterwards run `build_int8_graph.py` and correct `INT8_SHA256`.

Needs `onnx` and the project's checkout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
from build_model_graph import DEFAULT_TARGET as FLOAT_GRAPH
from onnx import helper

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.trust import kinds, reversals, riders, traps

from semantic_llm_cache.similarity import quantized
from semantic_llm_cache.similarity.onnx import OnnxEmbeddingProvider
from semantic_llm_cache.similarity.selftest import PRECISION_TEXTS
from semantic_llm_cache.similarity.wordpiece import CLS, MAX_PIECES, SEP, WordPieces

TEXTS = 600
POWER = {"heads": (1.0,) * 6, "wide": (0.5, 0.5, 0.5, 0.5, 0.75, 0.5)}
"""How much of the difference in range between channels moves into the weights, by layer; found by trial."""


def texts() -> list[str]:
    """Return texts of four and more words from the project's own tables of prompts, in a fixed order."""
    found = {text for module in (kinds, traps, riders, reversals) for text in _strings(module)}
    ordered = sorted(text for text in found if len(text.split()) > 3)
    np.random.default_rng(0).shuffle(ordered)
    return ordered[:TEXTS]


def _strings(module: ModuleType) -> set[str]:
    tables = [value for value in vars(module).values() if isinstance(value, (list, tuple))]
    rows = [row for table in tables for row in table if isinstance(row, (list, tuple))]
    return {field for row in rows for field in row if isinstance(field, str)}


def activations(weights: Path) -> dict[str, np.ndarray]:
    """Return what reaches each matrix, as (tokens, channels)."""
    model = onnx.load(str(FLOAT_GRAPH), load_external_data=False)
    names = {}
    for i in range(quantized.LAYERS):
        names |= {f"l{i}_heads": f"hidden_{i}", f"l{i}_wide": f"l{i}_attended", f"l{i}_gelu": f"l{i}_gelu"}
    for name in names.values():
        model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    graph = model.SerializeToString().replace(b"." + b"/" * 110 + b"model.safetensors", _name(weights))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(weights.parent))
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    pieces = WordPieces(weights.parent)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for text in texts():
        ids = np.array([[CLS, *pieces.pieces(text)[:MAX_PIECES], SEP]])
        found = session.run(list(names.values()), {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        for name, rows in zip(names, found, strict=True):
            seen[name].append(rows.astype(np.float64))
    return {name: np.concatenate(rows) for name, rows in seen.items()}


def _name(weights: Path) -> bytes:
    return b"." + b"/" * (128 - len(weights.name) - 1) + weights.name.encode()


def constants(seen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays that the package stores."""
    stored: dict[str, np.ndarray] = {}
    for i in range(quantized.LAYERS):
        for name, powers in POWER.items():
            rows = seen[f"l{i}_{name}"]
            mean = rows.mean(axis=0)
            reach = np.abs(rows - mean).max(axis=0)
            stored[f"l{i}_{name}_mean"] = mean.astype(np.float16)
            stored[f"l{i}_{name}_spread"] = ((reach / np.exp(np.log(reach).mean())) ** powers[i]).astype(np.float16)
        stored[f"l{i}_order"] = np.argsort(-seen[f"l{i}_gelu"].max(axis=0), kind="stable").astype(np.int16)
    return stored


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the constants of the 8-bit model.")
    parser.add_argument("weights", type=Path, help="model.safetensors of all-MiniLM-L6-v2")
    weights = parser.parse_args().weights.resolve()
    stored = constants(activations(weights))
    stored["test"] = OnnxEmbeddingProvider(weights).encode_batch(PRECISION_TEXTS).astype(np.float16)
    np.savez_compressed(quantized.CALIBRATION, **stored)
    print(f"{quantized.CALIBRATION.name}: {quantized.CALIBRATION.stat().st_size} bytes")


if __name__ == "__main__":
    main()
