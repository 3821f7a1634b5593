"""The cross-encoder verifier on onnxruntime, with a small model of our own making."""

import json
import logging
import pathlib

import numpy as np
import pytest
from engine_helpers import background_work_ended

from semantic_llm_cache import AnswerJudge, CrossEncoderJudge, PromptCacheError, SemanticCache
from semantic_llm_cache.matching.judges.pair_model import Labels, read_labels
from semantic_llm_cache.matching.verify import CrossEncoderVerifier

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "reset", "delete", "my", "password", "account"]


def make_model(folder, *, weights=(1.0,), one_way=False, file="model.onnx", config=None):
    """Write a model that compares which words both halves hold.

    Its value is 3, less 6 for each word that only one half has; with `one_way`, that only the second half has. The
    outputs are the value times each of `weights`.
    """
    from onnx import TensorProto, helper, numpy_helper, save
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )  # fmt: skip
    tokenizer.enable_truncation(6)  # as such files often have it; it must not apply
    tokenizer.save(str(folder / "tokenizer.json"))
    # Each word adds its row, with a sign that the half gives; the value falls with what is left.
    table = np.zeros((len(WORDS), len(WORDS)), dtype=np.float32)
    for i in range(4, len(WORDS)):
        table[i, i] = 1
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["token_type_ids"], ["half"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["half", "two"], ["scaled"]),
        helper.make_node("Add", ["scaled", "minus_one"], ["sign"]),
        helper.make_node("Unsqueeze", ["sign", "last"], ["signs"]),
        helper.make_node("Mul", ["rows", "signs"], ["signed"]),
        helper.make_node("ReduceSum", ["signed", "middle"], ["sum"], keepdims=0),
        helper.make_node("Relu" if one_way else "Abs", ["sum"], ["left"]),
        helper.make_node("ReduceSum", ["left", "middle"], ["total"], keepdims=1),
        helper.make_node("Mul", ["total", "minus_six"], ["fall"]),
        helper.make_node("Add", ["fall", "three"], ["value"]),
        helper.make_node("Mul", ["value", "weights"], ["logits"]),
    ]
    constants = {
        "table": table, "two": np.float32(2), "minus_one": np.float32(-1), "minus_six": np.float32(-6),
        "three": np.float32(3), "last": np.array([-1], dtype=np.int64), "middle": np.array([1], dtype=np.int64),
        "weights": np.array([weights], dtype=np.float32),
    }  # fmt: skip
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "n"]) for name in ("input_ids", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", len(weights)])
    graph = helper.make_graph(
        nodes, "pairs", inputs, [output],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (folder / file).parent.mkdir(exist_ok=True)
    save(model, str(folder / file))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


NLI = {"id2label": {"0": "CONTRADICTION", "1": "ENTAILMENT", "2": "NEUTRAL"}, "max_position_embeddings": 18}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cross-encoder with one output: yes when both halves hold equally many of each word."""
    return make_model(tmp_path_factory.mktemp("cross-encoder"))


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    """A model that says whether the second text follows from the first: whether it adds no word."""
    folder = tmp_path_factory.mktemp("nli")
    return make_model(folder, weights=(-1.0, 1.0, 0.0), one_way=True, file="onnx/model.onnx", config=NLI)


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
    with pytest.raises(PromptCacheError, match=r"holds no model\.onnx"):
        CrossEncoderVerifier(tmp_path)("a", "b")


@pytest.mark.parametrize("path", ["/no/such/folder", "./models/nli", "~/no-such-model", pathlib.Path("no/such")])
def test_a_folder_that_does_not_exist_is_refused_at_once(path):
    for make in (CrossEncoderVerifier, CrossEncoderJudge):
        with pytest.raises(ValueError, match=r"^model=.*: there is no such folder or file$"):
            make(path)


def test_a_name_without_the_library_is_told():
    with pytest.raises(PromptCacheError, match="pip install sentence-transformers"):
        CrossEncoderVerifier("nobody/no-such-model")("a", "b")


@pytest.mark.parametrize("threshold", [0, 1, -1])
def test_bad_threshold(threshold):
    with pytest.raises(ValueError, match="threshold"):
        CrossEncoderVerifier("x", threshold=threshold)


# -------------------------------------------------------------------------------- labels and files


def test_a_model_of_inference_is_asked_in_both_directions(nli):
    verify = CrossEncoderVerifier(nli)
    assert verify("reset my password", "my password reset") > 0.9
    assert verify("reset my password account", "reset my password") < 0.1  # follows in one direction only
    assert verify("reset my password", "reset my password account") < 0.1


def test_two_labels_in_either_order(tmp_path):
    for names, weights in (
        (("entailment", "not_entailment"), (1.0, -1.0)),
        (("not_equivalent", "equivalent"), (-1.0, 1.0)),
        (("LABEL_0", "LABEL_1"), (-1.0, 1.0)),
    ):
        config = {"id2label": {str(index): name for index, name in enumerate(names)}}
        verify = CrossEncoderVerifier(make_model(tmp_path, weights=weights, config=config))
        assert verify("reset my password", "my password reset") > 0.9
        assert verify("reset my password", "delete my password") < 0.1


def test_probabilities_come_from_the_labels():
    assert Labels().probability([0.0]) == 0.5
    assert Labels(1).probability([1.0, 1.0, 1.0]) == pytest.approx(1 / 3)
    assert Labels(1, each=True).probability([9.0, 0.0, 9.0]) == 0.5
    assert Labels(0).probability([2000.0, -2000.0]) == 1.0  # no overflow
    assert read_labels({"problem_type": "multi_label_classification"}).each


def test_labels_without_meaning_are_refused(tmp_path):
    config = {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}
    verify = CrossEncoderVerifier(make_model(tmp_path, weights=(-1.0, 1.0, 0.0), config=config))
    with pytest.raises(PromptCacheError, match=r"3 outputs.*id2label.*entailment"):
        verify("reset", "delete")


def test_nothing_is_cut(nli, folder):
    long = " ".join(["my"] * 8)
    with pytest.raises(PromptCacheError, match="19 tokens, and the model reads 18"):
        CrossEncoderVerifier(nli)(long, long)
    with pytest.raises(PromptCacheError, match="19 tokens, and the model reads 12"):
        CrossEncoderVerifier(folder, max_tokens=12)(long, long)
    assert CrossEncoderVerifier(folder)(long, long) > 0.9


def test_a_name_in_the_local_cache_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--pairs"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    make_model(snapshot, file="onnx/model.onnx")
    assert CrossEncoderVerifier("someone/pairs")("reset my password", "my password reset") > 0.9
    file = snapshot / "onnx" / "model.onnx"
    assert CrossEncoderVerifier(file)("reset my password", "my password reset") > 0.9
    with pytest.raises(PromptCacheError, match=r"hf download someone/other --include onnx/model\.onnx"):
        CrossEncoderVerifier("someone/other")("a", "b")
    (snapshot / "tokenizer.json").unlink()
    with pytest.raises(PromptCacheError, match=r"tokenizer\.json"):
        CrossEncoderVerifier(file)("a", "b")


# -------------------------------------------------------------------------------- as a judge of answers


async def test_a_judge_compares_answers_after_their_question(nli):
    judge = CrossEncoderJudge(nli)
    verdict = await judge.compare("delete", "my account", "account my")
    assert (verdict.same, verdict.layer) == (True, "cross-encoder")
    assert not (await judge.compare("delete", "my account", "my password")).same
    assert await judge("my account", "account my") > 0.9
    assert await judge("my account", "account my", "a response") > 0.9


async def test_a_judge_without_a_verdict_asks_the_default_judge(nli, tmp_path, caplog):
    long = " ".join(["my"] * 8)
    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        for judge, reason in (
            (CrossEncoderJudge(nli), "the model reads 18"),
            (CrossEncoderJudge(tmp_path), "not available"),
        ):
            verdict = await judge.compare("", long, f"{long} account")
            assert verdict.probability == (await AnswerJudge().compare("", long, f"{long} account")).probability
            assert reason in verdict.reason
    assert [record.getMessage().count("holds no model.onnx") for record in caplog.records] == [1]


async def test_judge_and_verifier_of_a_cache(nli):
    for options in ({"mode": "shadow", "same_answer": CrossEncoderJudge(nli)}, {"verify": CrossEncoderJudge(nli)}):
        events = []
        engine = SemanticCache("memory://", similarity=0.5, guards=None, on_event=events.append, **options)

        @engine.cache
        async def ask(prompt: str) -> str:
            return f"{prompt} account"

        await ask("reset my password")
        await ask("my password reset")
        await background_work_ended()
        assert (events[1].would_be_right if "mode" in options else events[1].outcome == "near") is True
