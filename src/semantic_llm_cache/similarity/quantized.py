"""The weights of all-MiniLM-L6-v2 in 8 bits: made here from the published ones, kept in a file, checked by sha256.

Every matrix is stored as int8 with one scale per output (and per 384 inputs in the second matrix of each
feed-forward block). The network quantises its activations to 8 bits too, with one scale per token: what a token's
numbers become never depends on other tokens of the batch, so a text gets the same vector alone and in company.

Two things keep the error small. Inputs of the matrices are shifted and scaled per channel, with constants measured
once (`scripts/calibrate_model.py`), which folds into the layer norms before them and into the weights (SmoothQuant,
arXiv 2211.10438; Outlier Suppression+, arXiv 2304.09145). And the four channels of each feed-forward block that take
the largest values are kept in float32 (as in LLM.int8(), arXiv 2208.07339).

All arithmetic is elementwise or adds rows in order, so that the file is the same to the bit on every machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.similarity import weights

__all__ = [
    "BLOCKS",
    "CALIBRATION",
    "FILE",
    "GRAPH",
    "INT8_SHA256",
    "LAYERS",
    "LOW",
    "ZERO",
    "Made",
    "Part",
    "contents",
    "find",
    "layout",
    "obtain",
    "tensors",
]

Array = npt.NDArray[Any]

_DATA = Path(__file__).parent / "data"
GRAPH = _DATA / f"{weights.MODEL_NAME}-int8.onnx"
CALIBRATION = _DATA / f"{weights.MODEL_NAME}-int8.npz"
INT8_SHA256 = "1110f3e34b446d59dd80f84ee597cb59bce54fbf5f50d794e46eb8e6512b5f11"
FILE = f"{weights.MODEL_NAME}-int8-{INT8_SHA256[:8]}.bin"
"""Its name holds the start of its sha256: versions of this package that make another file do not overwrite it."""

LAYERS, HIDDEN, WIDE = 6, 384, 1536
APART = 4
BLOCKS = 4
"""Parts of the 1,536 inputs of the second feed-forward matrix, each with scales of its own."""
ZERO = 32
"""The unsigned 8-bit number that stands for zero in the output of GELU, which is hardly ever negative ..."""
LOW = 0.17
"""... and never below -0.17."""
_ALIGNED = 64
_HEADS = ("query", "key", "value")
_SQUARE = (*_HEADS, "out")

_verified: set[tuple[str, int, int]] = set()


class Part(NamedTuple):
    """Where a tensor lies in the file."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return its length in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Made(NamedTuple):
    """The 8-bit weights: in a file, or in memory when none could be written.

    Attributes:
        path: the file, else None.
        data: the bytes, if there is no file.
        problem: why there is no file.
    """

    path: Path | None
    data: bytearray | None = None
    problem: str = ""


def _shapes() -> Iterator[tuple[str, type, tuple[int, ...]]]:
    f, b = np.float32, np.int8
    yield "words", b, (30522, HIDDEN)
    yield "words_scale", f, (30522, 1)
    yield "positions", f, (512, HIDDEN)
    for i in range(LAYERS):
        for name, rows, columns in (*((part, HIDDEN, HIDDEN) for part in _SQUARE), ("wide", HIDDEN, WIDE)):
            yield f"l{i}_{name}", b, (rows, columns)
            yield f"l{i}_{name}_scale", f, (columns,)
        for j in range(BLOCKS):
            yield f"l{i}_narrow_{j}", b, (WIDE // BLOCKS, HIDDEN)
            yield f"l{i}_narrow_{j}_scale", f, (HIDDEN,)
        yield f"l{i}_heads_bias", f, (3 * HIDDEN,)
        yield f"l{i}_wide_bias", f, (WIDE,)
        yield f"l{i}_apart_in", f, (APART, HIDDEN)
        yield f"l{i}_apart_bias", f, (APART,)
        yield f"l{i}_apart_out", f, (HIDDEN, APART)
        for norm in ("into_heads", "around_attention", "into_wide", "around_wide"):
            yield f"l{i}_{norm}_gamma", f, (HIDDEN,)
            yield f"l{i}_{norm}_beta", f, (HIDDEN,)
    yield "last_gamma", f, (HIDDEN,)
    yield "last_beta", f, (HIDDEN,)


def layout() -> dict[str, Part]:
    """Return where each tensor lies in the file, in order.

    Example:
        >>> layout()["words"]
        Part(offset=0, dtype=dtype('int8'), shape=(30522, 384))
    """
    parts, offset = {}, 0
    for name, dtype, shape in _shapes():
        part = parts[name] = Part(offset, np.dtype(dtype).newbyteorder("<"), shape)
        offset += -(-part.size // _ALIGNED) * _ALIGNED
    return parts


def contents(path: Path) -> bytearray:
    """Return the bytes of the 8-bit file, made from the published weights at `path`. Takes about 0.5 s."""
    parts = layout()
    last = list(parts.values())[-1]
    data = bytearray(last.offset + -(-last.size // _ALIGNED) * _ALIGNED)
    with np.load(CALIBRATION) as stored:
        made = tensors(_read(path), {name: stored[name] for name in stored.files})
        for name, tensor in made:
            part = parts.pop(name)
            if tensor.shape != part.shape:
                raise ValueError(f"{name} has the shape {tensor.shape}, not {part.shape}")
            data[part.offset : part.offset + part.size] = np.ascontiguousarray(tensor, dtype=part.dtype).tobytes()
    if parts:
        raise ValueError(f"not made: {', '.join(parts)}")
    return data


def _read(path: Path) -> dict[str, Array]:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    raw = np.memmap(path, np.uint8, "r", offset=8 + size)
    found = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            found[name] = raw[begin:end].view("<f4").reshape(entry["shape"])
    return found


def tensors(given: Mapping[str, Array], calibration: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the tensors of the file with their names, matrices transposed to (inputs, outputs)."""
    bert = _Bert(given)
    words, scale = _rounded(bert.weight("embeddings.word_embeddings"))
    yield "words", words
    yield "words_scale", scale[:, None]
    kind = bert.weight("embeddings.token_type_embeddings")[0]
    yield "positions", bert.weight("embeddings.position_embeddings") + kind
    norm = bert.norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        for name, tensor in _layer(bert, i, norm, {k[3:]: v for k, v in calibration.items() if k.startswith(f"l{i}_")}):
            yield f"l{i}_{name}", tensor
        norm = bert.norm(f"encoder.layer.{i}.output.LayerNorm")
    yield from _norm("last", *norm)


class _Bert:
    def __init__(self, given: Mapping[str, Array]) -> None:
        self._given = given

    def weight(self, name: str) -> Array:
        return np.asarray(self._given[f"{name}.weight"], dtype=np.float32)

    def linear(self, *names: str) -> tuple[Array, Array]:
        biases = [np.asarray(self._given[f"{name}.bias"], dtype=np.float32) for name in names]
        return np.concatenate([self.weight(name) for name in names]), np.concatenate(biases)

    def norm(self, name: str) -> tuple[Array, Array]:
        return self.weight(name), np.asarray(self._given[f"{name}.bias"], dtype=np.float32)


def _layer(
    bert: _Bert, i: int, norm: tuple[Array, Array], calibration: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """Yield one layer; `norm` is the gain and the bias of the layer norm before it."""
    layer = f"encoder.layer.{i}"
    heads = bert.linear(*(f"{layer}.attention.self.{part}" for part in _HEADS))
    out, out_bias = bert.linear(f"{layer}.attention.output.dense")
    for name, tensor in _shifted("heads", heads, norm, calibration):
        if name in ("heads", "heads_scale"):
            parts = np.split(tensor, len(_HEADS), axis=-1)
            yield from ((name.replace("heads", part), piece) for part, piece in zip(_HEADS, parts, strict=True))
        else:
            yield name, tensor
    yield from _matrix("out", out)
    # The bias of the matrix is added with the layer norm's, which is that of the values it is added to.
    yield from _norm("around_attention", norm[0], norm[1] + out_bias)

    norm = bert.norm(f"{layer}.attention.output.LayerNorm")
    wide, wide_bias = bert.linear(f"{layer}.intermediate.dense")
    narrow, narrow_bias = bert.linear(f"{layer}.output.dense")
    # Channels of similar range share a block; the first few, with the largest values, are kept apart.
    order = calibration["order"].astype(np.int64)
    wide, wide_bias, narrow = wide[order], wide_bias[order], narrow[:, order]
    yield "apart_in", wide[:APART].copy()
    # They read what the layer norm gives with `narrow_bias` in it.
    yield "apart_bias", (wide_bias[:APART] - _product(wide[:APART], narrow_bias)).astype(np.float32)
    yield "apart_out", narrow[:, :APART].copy()
    wide[:APART], wide_bias[:APART], narrow[:, :APART] = 0, 0, 0
    yield from _shifted("wide", (wide, wide_bias), norm, calibration)
    step = WIDE // BLOCKS
    for j in range(BLOCKS):
        yield from _matrix(f"narrow_{j}", narrow[:, j * step : (j + 1) * step])
    yield from _norm("around_wide", norm[0], norm[1] + narrow_bias)


def _norm(name: str, gamma: Array, beta: Array) -> Iterator[tuple[str, Array]]:
    yield f"{name}_gamma", gamma
    yield f"{name}_beta", beta


def _matrix(name: str, matrix: Array) -> Iterator[tuple[str, Array]]:
    rounded, scale = _rounded(matrix)
    yield name, rounded.T
    yield f"{name}_scale", scale


def _shifted(
    name: str, linear: tuple[Array, Array], norm: tuple[Array, Array], calibration: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """Yield a matrix that reads (x - mean) / spread in place of x, and the layer norm that gives it that."""
    matrix, bias = linear
    mean, spread = (calibration[f"{name}_{part}"].astype(np.float32) for part in ("mean", "spread"))
    yield from _matrix(name, matrix * spread)
    yield f"{name}_bias", (bias + _product(matrix, mean)).astype(np.float32)
    yield from _norm(f"into_{name}", norm[0] / spread, (norm[1] - mean) / spread)


def _product(matrix: Array, vector: Array) -> Array:
    """Return their product in float64, added up in the same order on every machine, as `@` does not."""
    total = np.zeros(len(matrix))
    for column, factor in zip(matrix.T.astype(np.float64), vector.tolist(), strict=True):
        total += column * factor
    return total


def _rounded(matrix: Array) -> tuple[Array, Array]:
    """Return `matrix` in 8 bits, and the scale of each row."""
    scale = np.abs(matrix).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale


# ------------------------------------------------------------------------------- file


def obtain(path: Path) -> Made:
    """Return the 8-bit weights for the published ones at `path`, making their file if there is none.

    The file lies beside `path` or in the user's cache folder. Several processes may do this at once: each writes a
    file of its own and renames it. A damaged file is replaced. Without a writable folder the weights stay in memory.

    Raises:
        ValueError: what was made is not what it should be.
        OSError: the published weights cannot be read.
    """
    found = find(path)
    if found is not None:
        return Made(found)
    data = contents(path)
    if hashlib.sha256(data).hexdigest() != INT8_SHA256:
        raise ValueError("the 8-bit weights made on this machine differ from those that were tested")
    problems = []
    for folder in _folders(path):
        try:
            return Made(_write(folder, data))
        except OSError as error:
            problems.append(f"{folder}: {error.strerror or type(error).__name__}")
    return Made(None, data, "; ".join(problems))


def find(path: Path) -> Path | None:
    """Return the file of the 8-bit weights for `path`, if it is there and intact."""
    for folder in _folders(path):
        if _intact(folder / FILE):
            return folder / FILE
    return None


def _folders(path: Path) -> list[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        own = [Path(home).expanduser() / "semantic-llm-cache"]
    except RuntimeError:  # no home folder
        own = []
    return [path.parent, *own]


def _intact(file: Path) -> bool:
    """Return whether the file is what it should be: read once per process, or when it has changed."""
    try:
        status = file.stat()
        key = (os.path.realpath(file), status.st_size, status.st_mtime_ns)
        if key not in _verified:
            if hashlib.sha256(file.read_bytes()).hexdigest() != INT8_SHA256:
                return False
            _verified.add(key)
    except OSError:
        return False
    return True


def _write(folder: Path, data: bytearray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{FILE}.", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, folder / FILE)
    except BaseException:
        os.unlink(part)
        raise
    return folder / FILE
