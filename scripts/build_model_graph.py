"""Write the ONNX graph of all-MiniLM-L6-v2 that the package ships.

    python scripts/build_model_graph.py path/to/model.safetensors

The graph holds no weights: each initializer names a span of bytes in the safetensors file, so that one
file serves as it was published and stays mapped, shared between processes. The file's name is a
placeholder of fixed length, which `OnnxEmbeddingProvider` overwrites with the real name: one byte string
for another of the same length needs no protobuf library at run time.

The network is BERT (Devlin et al. 2018, arXiv 1810.04805): 6 layers, 12 heads of 32, exact GELU; then the
mean over the tokens that are not padding and division by the L2 norm, as sentence-transformers does it.

Inputs: input_ids and attention_mask, int64, (batch, length). Output: embedding, float32, (batch, 384).
Needs `onnx`; running the graph does not.
"""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

LAYERS, HEADS, HIDDEN = 6, 12, 384
HEAD_DIM = HIDDEN // HEADS
PLACEHOLDER_LENGTH = 128
OPSET, IR_VERSION = 17, 8  # the oldest with LayerNormalization: old onnxruntimes read it
DEFAULT_TARGET = Path(__file__).parents[1] / "src/semantic_llm_cache/similarity/data/all-MiniLM-L6-v2.onnx"


def placeholder(name: str = "model.safetensors") -> str:
    """Return a relative path to `name` that is PLACEHOLDER_LENGTH characters long."""
    return "." + "/" * (PLACEHOLDER_LENGTH - len(name) - 1) + name


class Graph:
    """Nodes and initializers in the order they are added."""

    def __init__(self, weights: Path) -> None:
        with weights.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            self.header = json.loads(file.read(size))
        self.data_start = 8 + size
        self.nodes: list = []
        self.initializers: list = []

    def weight(self, name: str) -> str:
        """Refer to a tensor of the safetensors file by its span of bytes."""
        entry = self.header[name]
        if entry["dtype"] != "F32":
            raise SystemExit(f"{name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=entry["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        span = {"location": placeholder(), "offset": self.data_start + begin, "length": end - begin}
        for key, value in span.items():
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)
        return name

    def constant(self, name: str, value: object, dtype: type) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def linear(self, x: str, prefix: str, output: str) -> str:
        """y = x W^T + b on rows: Gemm takes torch's (out, in) weights as they lie in the file."""
        inputs = [x, self.weight(f"{prefix}.weight"), self.weight(f"{prefix}.bias")]
        return self.add("Gemm", inputs, output, transB=1)

    def layer_norm(self, x: str, prefix: str, output: str) -> str:
        inputs = [x, self.weight(f"{prefix}.weight"), self.weight(f"{prefix}.bias")]
        return self.add("LayerNormalization", inputs, output, axis=-1, epsilon=1e-12)


def build(weights: Path) -> bytes:
    g = Graph(weights)
    one = g.constant("one", 1.0, np.float32)
    rows = g.constant("rows", [-1, HIDDEN], np.int64)
    heads = g.constant("heads", [0, 0, HEADS, HEAD_DIM], np.int64)
    merged = g.constant("merged", [0, 0, HIDDEN], np.int64)
    axis_1 = g.constant("axis_1", [1], np.int64)
    axis_last = g.constant("axis_last", [-1], np.int64)

    # Hidden states are kept as rows, (batch * length, 384); `cube` is (batch, length, 384).
    words = g.add("Gather", [g.weight("embeddings.word_embeddings.weight"), "input_ids"], "words")
    shape = g.add("Shape", ["input_ids"], "shape")
    length = g.add("Slice", [shape, axis_1, g.constant("two", [2], np.int64)], "length")
    cube = g.add("Concat", [shape, g.constant("hidden", [HIDDEN], np.int64)], "cube", axis=0)
    zero = g.constant("zero", [0], np.int64)
    position_table = g.weight("embeddings.position_embeddings.weight")
    positions = g.add("Slice", [position_table, zero, length, zero], "positions")
    kind = g.add("Gather", [g.weight("embeddings.token_type_embeddings.weight"), zero], "kind")
    x = g.add("Add", [g.add("Add", [words, positions], "words_positions"), kind], "embedded")
    x = g.layer_norm(g.add("Reshape", [x, rows], "embedded_rows"), "embeddings.LayerNorm", "hidden_0")

    mask = g.add("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    # Added before the softmax: exp(-1e9) is exactly zero, so padding changes nothing.
    minus_1 = g.add("Sub", [mask, one], "mask_minus_1")
    absent = g.add("Mul", [minus_1, g.constant("big", 1e9, np.float32)], "absent")
    bias = g.add("Unsqueeze", [absent, g.constant("axes_1_2", [1, 2], np.int64)], "bias")

    scale = g.constant("scale", 1 / np.sqrt(HEAD_DIM), np.float32)
    root = g.constant("inverse_root_2", 1 / np.sqrt(2), np.float32)
    half = g.constant("half", 0.5, np.float32)
    for i in range(LAYERS):
        p, n = f"encoder.layer.{i}", f"l{i}"
        parts = {}
        for part, perm in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            y = g.linear(x, f"{p}.attention.self.{part}", f"{n}_{part}")
            y = g.add("Reshape", [y, cube], f"{n}_{part}_cube")
            y = g.add("Reshape", [y, heads], f"{n}_{part}_heads")
            parts[part] = g.add("Transpose", [y], f"{n}_{part}_t", perm=perm)
        query = g.add("Mul", [parts["query"], scale], f"{n}_query_scaled")
        scores = g.add("Add", [g.add("MatMul", [query, parts["key"]], f"{n}_scores"), bias], f"{n}_masked")
        weights_ = g.add("Softmax", [scores], f"{n}_weights", axis=-1)
        y = g.add("MatMul", [weights_, parts["value"]], f"{n}_context")
        y = g.add("Transpose", [y], f"{n}_context_t", perm=[0, 2, 1, 3])
        y = g.add("Reshape", [y, merged], f"{n}_context_cube")
        y = g.add("Reshape", [y, rows], f"{n}_context_rows")
        y = g.linear(y, f"{p}.attention.output.dense", f"{n}_attention")
        y = g.add("Add", [y, x], f"{n}_attention_sum")
        x = g.layer_norm(y, f"{p}.attention.output.LayerNorm", f"{n}_attended")
        # GELU(y) = y/2 (1 + erf(y / sqrt 2)), arXiv 1606.08415; onnxruntime fuses the pattern.
        y = g.linear(x, f"{p}.intermediate.dense", f"{n}_wide")
        e = g.add("Add", [g.add("Erf", [g.add("Mul", [y, root], f"{n}_y")], f"{n}_erf"), one], f"{n}_erf_1")
        y = g.add("Mul", [g.add("Mul", [y, e], f"{n}_gelu_2"), half], f"{n}_gelu")
        y = g.linear(y, f"{p}.output.dense", f"{n}_narrow")
        x = g.layer_norm(g.add("Add", [y, x], f"{n}_sum"), f"{p}.output.LayerNorm", f"hidden_{i + 1}")

    tokens = g.add("Reshape", [x, cube], "tokens")
    mask_3 = g.add("Unsqueeze", [mask, axis_last], "mask_3")
    total = g.add("ReduceSum", [g.add("Mul", [tokens, mask_3], "kept"), axis_1], "total", keepdims=0)
    count = g.add("ReduceSum", [mask, axis_1], "count", keepdims=1)
    mean = g.add("Div", [total, count], "mean")
    norm = g.add("ReduceL2", [mean], "norm", axes=[-1], keepdims=1)
    g.add("Div", [mean, norm], "embedding")

    graph = helper.make_graph(
        g.nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "length"]),
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", HIDDEN])],
        initializer=g.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="semantic-llm-cache")
    model.ir_version = IR_VERSION
    serialized: bytes = model.SerializeToString(deterministic=True)
    check(model)
    return serialized


def check(model: ModelProto) -> None:
    """Have `onnx` check the graph, with tensors outside as inputs: it wants no links in a file's path."""
    bare = ModelProto()
    bare.CopyFrom(model)
    outside = [t for t in bare.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    for tensor in outside:
        bare.graph.initializer.remove(tensor)
        bare.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    checker.check_model(bare, full_check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the ONNX graph of all-MiniLM-L6-v2.")
    parser.add_argument("weights", type=Path, help="model.safetensors of all-MiniLM-L6-v2")
    parser.add_argument("target", type=Path, nargs="?", default=DEFAULT_TARGET)
    arguments = parser.parse_args()
    target = arguments.target.resolve()
    graph = build(arguments.weights)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(graph)
    print(f"{target.name}: {len(graph)} bytes")


if __name__ == "__main__":
    main()
