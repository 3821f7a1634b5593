"""The cross-encoder verifier on onnxruntime, with a small model of our own making."""

import numpy as np
import pytest

from semantic_llm_cache import PromptCacheError, SemanticCache
from semantic_llm_cache.matching.verify import CrossEncoderVerifier

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "reset", "delete", "my", "password", "account"]


@pytest.fixture
def folder(tmp_path):
    """A cross-encoder that says yes when both halves hold equally many of each word."""
    from onnx import TensorProto, helper, numpy_helper, save
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )  # fmt: skip
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    # Each word adds its row, with a sign that the half gives; the logit falls with what is left.
    table = np.zeros((len(WORDS), len(WORDS)), dtype=np.float32)
    for i in range(4, len(WORDS)):
        table[i, i] = 1
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["token_type_ids"], ["half"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["half", "minus_two"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["sign"]),
        helper.make_node("Unsqueeze", ["sign", "last"], ["signs"]),
        helper.make_node("Mul", ["rows", "signs"], ["signed"]),
        helper.make_node("ReduceSum", ["signed", "middle"], ["sum"], keepdims=0),
        helper.make_node("Abs", ["sum"], ["left"]),
        helper.make_node("ReduceSum", ["left", "middle"], ["total"], keepdims=1),
        helper.make_node("Mul", ["total", "minus_six"], ["fall"]),
        helper.make_node("Add", ["fall", "three"], ["logits"]),
    ]
    constants = {
        "table": table, "minus_two": np.float32(-2), "one": np.float32(1), "minus_six": np.float32(-6),
        "three": np.float32(3), "last": np.array([-1], dtype=np.int64), "middle": np.array([1], dtype=np.int64),
    }  # fmt: skip
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "n"]) for name in ("input_ids", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 1])
    graph = helper.make_graph(
        nodes, "pairs", inputs, [output],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    save(model, str(tmp_path / "model.onnx"))
    return tmp_path


def test_scores_come_from_both_prompts(folder):
    verify = CrossEncoderVerifier(folder)
    assert verify("reset my password", "my password reset") > 0.9
    assert verify("reset my password", "delete my password") < 0.1


def test_the_threshold_comes_out_at_one_half(folder):
    loose, strict = CrossEncoderVerifier(folder, threshold=0.01), CrossEncoderVerifier(folder, threshold=0.99)
    score = CrossEncoderVerifier(folder)("reset my password", "reset my password")
    assert (loose("reset my password", "reset my password") > 0.5) == (score >= 0.01)
    assert (strict("reset my password", "reset my password") > 0.5) == (score >= 0.99)


async def test_as_a_verifier_of_the_cache(folder):
    calls = []

    @SemanticCache("memory://", similarity=0.5, guards=None, verify=CrossEncoderVerifier(folder)).cache
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        return prompt

    await ask("reset my password")
    assert await ask("my password reset") == "reset my password"
    assert await ask("delete my password") == "delete my password"
    assert calls == ["reset my password", "delete my password"]


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(PromptCacheError, match=r"no model\.onnx"):
        CrossEncoderVerifier(tmp_path)("a", "b")


def test_a_name_without_the_library_is_told():
    with pytest.raises(PromptCacheError, match="pip install sentence-transformers"):
        CrossEncoderVerifier("nobody/no-such-model")("a", "b")


@pytest.mark.parametrize("threshold", [0, 1, -1])
def test_bad_threshold(threshold):
    with pytest.raises(ValueError, match="threshold"):
        CrossEncoderVerifier("x", threshold=threshold)
