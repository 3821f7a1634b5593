"""all-MiniLM-L6-v2 written out in numpy, float64, from the papers: what the ONNX graph is held against."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np

_erf = np.vectorize(math.erf, otypes=[float])


class Bert:
    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + size])
        self.tensors = {
            name: np.frombuffer(raw, "<f4", count=math.prod(e["shape"]), offset=8 + size + e["data_offsets"][0])
            .reshape(e["shape"])
            .astype(np.float64)
            for name, e in header.items()
            if name != "__metadata__" and e["dtype"] == "F32"
        }

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * self.tensors[f"{name}.LayerNorm.weight"] + self.tensors[f"{name}.LayerNorm.bias"]

    def embed(self, ids: list[int]) -> np.ndarray:
        """One sequence of piece numbers, end marks included, to a unit vector of 384 floats."""
        e = "embeddings"
        x = self.tensors[f"{e}.word_embeddings.weight"][ids]
        x = x + self.tensors[f"{e}.position_embeddings.weight"][: len(ids)]
        x = self.norm(x + self.tensors[f"{e}.token_type_embeddings.weight"][0], e)
        for i in range(6):
            layer = f"encoder.layer.{i}"
            q, k, v = (
                self.linear(x, f"{layer}.attention.self.{part}").reshape(len(ids), 12, 32).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(32)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            context = (scores / scores.sum(-1, keepdims=True)) @ v
            context = context.transpose(1, 0, 2).reshape(len(ids), 384)
            x = self.norm(self.linear(context, f"{layer}.attention.output.dense") + x, f"{layer}.attention.output")
            y = self.linear(x, f"{layer}.intermediate.dense")
            y = y * (1 + _erf(y / math.sqrt(2))) / 2
            x = self.norm(self.linear(y, f"{layer}.output.dense") + x, f"{layer}.output")
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)
