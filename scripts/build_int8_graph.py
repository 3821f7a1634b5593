"""Write the graph of all-MiniLM-L6-v2 in 8 bits that the package ships; it holds no weights.

    python scripts/build_int8_graph.py

Each initializer names a span of the file that `semantic_llm_cache.similarity.quantized` makes from the published
weights. How it computes: that module's text. Measured and left out: onnxruntime's SkipLayerNormalization, five times
slower than an addition and LayerNormalization, and MatMulNBits, which is fast for one short text but for a batch hardly
faster than float32.

Inputs: input_ids and attention_mask, int64, (batch, length). Output: embedding, float32, (batch, 384).
Needs `onnx`; running the graph does not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from build_model_graph import HEADS, HIDDEN, IR_VERSION, LAYERS, OPSET, placeholder
from onnx import TensorProto, helper, numpy_helper

from semantic_llm_cache.similarity import quantized

MICROSOFT = "com.microsoft"  # operators that onnxruntime brings beyond the standard
KINDS = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8}
PARTS = ("query", "key", "value")
BLOCK = 4 * HIDDEN // quantized.BLOCKS


class Graph:
    """Nodes and initializers in the order they are added."""

    def __init__(self) -> None:
        self.layout = quantized.layout()
        self.nodes: list = []
        self.initializers: dict = {}

    def weight(self, name: str) -> str:
        """Refer to a tensor of the file."""
        part = self.layout[name]
        tensor = TensorProto(name=name, data_type=KINDS[part.dtype.name], dims=part.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": placeholder(), "offset": part.offset, "length": part.size}.items():
            tensor.external_data.add(key=key, value=str(value))
        self.initializers[name] = tensor
        return name

    def constant(self, name: str, value: object, dtype: type) -> str:
        self.initializers[name] = numpy_helper.from_array(np.array(value, dtype=dtype), name)
        return name

    def add(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def split(self, x: str, count: int) -> list[str]:
        outputs = [f"{x}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node("Split", [x], outputs, name=f"{x}_split", axis=-1))
        return outputs

    def norm(self, x: str, name: str) -> str:
        inputs = [x, self.weight(f"{name}_gamma"), self.weight(f"{name}_beta")]
        return self.add("LayerNormalization", inputs, name, axis=-1, epsilon=1e-12)

    def rounded(self, x: str) -> tuple[str, str]:
        """Quantise the rows of `x`, each with a scale of its own, around 128; return them and the scales."""
        most = self.add("ReduceMax", [self.add("Abs", [x], f"{x}_abs")], f"{x}_most", axes=[-1], keepdims=1)
        scale = self.add("Mul", [most, "one_127th"], f"{x}_scale")
        flat = self.add("Reshape", [scale, "flat"], f"{x}_scales")
        return self.add("QuantizeLinear", [x, flat, "zeros"], f"{x}_8", axis=0), scale

    def matrix(self, x: str, scale: str, name: str, zero: str = "zero_128") -> str:
        """Multiply quantised rows with a matrix of the file."""
        inputs = [x, self.weight(name), "unit", self.weight(f"{name}_scale"), zero, "zero_weight"]
        return self.add(
            "Mul", [self.add("MatMulIntegerToFloat", inputs, f"{name}_rows", MICROSOFT), scale], f"{name}_y"
        )


def constants(g: Graph) -> None:
    for name, value in {"two": [2], "first": [0], "second": [1], "final": [-1], "flat": [-1], "rows": [-1, HIDDEN],
                        "hidden": [HIDDEN], "block": [-1, BLOCK],
                        "wide": [-1, 4 * HIDDEN], "blocks": [-1, quantized.BLOCKS], "count_blocks": [quantized.BLOCKS]
                        }.items():  # fmt: skip
        g.constant(name, value, np.int64)
    g.constant("unit", 1, np.float32)
    g.constant("one_127th", 1 / 127, np.float32)
    g.constant("one_above", 1 / (255 - quantized.ZERO), np.float32)
    g.constant("least", quantized.LOW / quantized.ZERO, np.float32)
    g.constant("zero_128", 128, np.uint8)
    g.constant("zero_gelu", quantized.ZERO, np.uint8)
    g.constant("zero_weight", 0, np.int8)


def begin(g: Graph) -> str:
    """Add the embedding of tokens and places; return it as rows, (batch * length, 384)."""
    words = g.add("Cast", [g.add("Gather", [g.weight("words"), "input_ids"], "words_8")], "words_32", to=1)
    words = g.add("Mul", [words, g.add("Gather", [g.weight("words_scale"), "input_ids"], "words_scales")], "words_y")
    shape = g.add("Shape", ["input_ids"], "shape")
    length = g.add("Slice", [shape, "second", "two"], "length")
    places = g.add("Slice", [g.weight("positions"), "first", length, "first"], "places")
    g.add("Concat", [shape, "hidden"], "cube", axis=0)
    # The zero points of QuantizeLinear, one a row.
    count = g.add("ReduceProd", [shape], "count", axes=[0], keepdims=1)
    count_blocks = g.add("Mul", [count, "count_blocks"], "count_in_blocks")
    for name, length, value in (("zeros", count, 128), ("zeros_gelu", count_blocks, quantized.ZERO)):
        g.add("ConstantOfShape", [length], name, value=helper.make_tensor("v", TensorProto.UINT8, [1], [value]))
    return g.add("Reshape", [g.add("Add", [words, places], "embedded"), "rows"], "embedded_rows")


def attention(g: Graph, x: str, n: str) -> str:
    """Add the attention of a layer. `x` and what is returned come before their layer norms."""
    inner, scale = g.rounded(g.norm(x, f"{n}_into_heads"))
    parts = [g.add("Reshape", [g.matrix(inner, scale, f"{n}_{part}"), "cube"], f"{n}_{part}_cube") for part in PARTS]
    inputs = [*parts, g.weight(f"{n}_heads_bias"), "present"]
    y = g.add("MultiHeadAttention", inputs, f"{n}_context_cube", MICROSOFT, num_heads=HEADS)
    inner, scale = g.rounded(g.add("Reshape", [y, "rows"], f"{n}_context"))
    return g.add("Add", [g.matrix(inner, scale, f"{n}_out"), g.norm(x, f"{n}_around_attention")], f"{n}_attended")


def feed_forward(g: Graph, x: str, n: str) -> str:
    """Add the feed-forward block of a layer."""
    inner, scale = g.rounded(g.norm(x, f"{n}_into_wide"))
    y = g.matrix(inner, scale, f"{n}_wide")
    y = g.add("BiasGelu", [y, g.weight(f"{n}_wide_bias")], f"{n}_gelu", MICROSOFT)
    y = g.add("Reshape", [y, "block"], f"{n}_gelu_blocks")
    # No scale below `least`: the smallest value of GELU must not fall below 0.
    most = g.add("ReduceMax", [y], f"{n}_gelu_most", axes=[-1], keepdims=0)
    scale = g.add("Max", [g.add("Mul", [most, "one_above"], f"{n}_gelu_above"), "least"], f"{n}_gelu_scale")
    inner = g.add("QuantizeLinear", [y, scale, "zeros_gelu"], f"{n}_gelu_8_blocks", axis=0)
    inner = g.add("Reshape", [inner, "wide"], f"{n}_gelu_8")
    scale = g.add("Reshape", [scale, "blocks"], f"{n}_gelu_scales")
    pairs = zip(g.split(inner, quantized.BLOCKS), g.split(scale, quantized.BLOCKS), strict=True)
    parts = [g.matrix(p, s, f"{n}_narrow_{j}", "zero_gelu") for j, (p, s) in enumerate(pairs)]
    around = g.norm(x, f"{n}_around_wide")
    apart = g.add("Gemm", [around, g.weight(f"{n}_apart_in"), g.weight(f"{n}_apart_bias")], f"{n}_apart", transB=1)
    apart = g.add("Gelu", [apart], f"{n}_apart_gelu", MICROSOFT)
    around = g.add("Gemm", [apart, g.weight(f"{n}_apart_out"), around], f"{n}_around", transB=1)
    return g.add("Sum", [*parts, around], f"{n}_sum")


def end(g: Graph, x: str) -> None:
    tokens = g.add("Reshape", [g.norm(x, "last"), "cube"], "tokens")
    mask = g.add("Unsqueeze", [g.add("Cast", ["attention_mask"], "mask", to=1), "final"], "mask_3")
    # The sum has the direction of the mean, which is all that counts.
    total = g.add("ReduceSum", [g.add("Mul", [tokens, mask], "kept"), "second"], "total", keepdims=0)
    g.add("Div", [total, g.add("ReduceL2", [total], "norm", axes=[-1], keepdims=1)], "embedding")


def build() -> bytes:
    g = Graph()
    constants(g)
    x = begin(g)
    g.add("Cast", ["attention_mask"], "present", to=TensorProto.INT32)
    for i in range(LAYERS):
        x = feed_forward(g, attention(g, x, f"l{i}"), f"l{i}")
    end(g, x)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", HIDDEN])]
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2-int8", inputs, outputs, [*g.initializers.values()])
    sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=sets, producer_name="semantic-llm-cache")
    model.ir_version = IR_VERSION
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the 8-bit ONNX graph of all-MiniLM-L6-v2.")
    parser.add_argument("target", type=Path, nargs="?", default=quantized.GRAPH)
    target = parser.parse_args().target.resolve()
    target.write_bytes(build())
    print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
