"""A model that reads two texts together and says how alike they are, in this process, on onnxruntime.

Cross-encoders (one output, or two labels) and models for natural language inference (three labels) both come as a
folder with ``model.onnx`` or ``onnx/model.onnx``, ``tokenizer.json`` and ``config.json``. Nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.matching.judges.fallback import Unknown
from semantic_llm_cache.similarity.loading import LoadOnce
from semantic_llm_cache.similarity.onnx import import_onnxruntime
from semantic_llm_cache.similarity.weights import hub_folders

__all__ = ["Labels", "PairModel", "find_folder", "read_labels"]

_FILES = ("model.onnx", "onnx/model.onnx")
_OFFSET = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"})
"""Types of models whose first positions are reserved: they read two tokens less than they have positions."""
_USUAL = 512  # tokens that a model reads if its files do not say
_SAME = ("duplicate", "is_duplicate", "equivalent", "paraphrase", "same", "similar", "yes", "true", "entailment")

Score = Callable[[str, str], float]


class Labels(NamedTuple):
    """What a model's outputs mean.

    Attributes:
        same: index of the output that means "the same"; None for the last of two outputs.
        each: whether each output has a sigmoid of its own, as with several labels at once; else a softmax over all.
        both_ways: whether the texts must follow from each other, so that both orders count.
    """

    same: int | None = None
    each: bool = False
    both_ways: bool = False

    def probability(self, logits: Sequence[float]) -> float:
        """Return the probability of "the same", from 0 to 1.

        Raises:
            EmbeddingUnavailableError: the outputs do not fit the labels.
        """
        if len(logits) == 1:
            return _sigmoid(logits[0])
        index = self.same
        if index is None and len(logits) == 2:
            index = 1
        if index is None or index >= len(logits):
            raise EmbeddingUnavailableError(
                f"the model has {len(logits)} outputs, and its config.json does not say in id2label which of them "
                "means the same: name one of them entailment, duplicate or equivalent there"
            )
        if self.each:
            return _sigmoid(logits[index])
        most = max(logits)
        return math.exp(logits[index] - most) / sum(math.exp(value - most) for value in logits)


def read_labels(config: Mapping[str, Any]) -> Labels:
    """Return the labels of a model from its ``config.json``.

    Example:
        >>> read_labels({"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}})
        Labels(same=1, each=False, both_ways=True)
        >>> read_labels({"id2label": {"0": "LABEL_0"}})
        Labels(same=None, each=False, both_ways=False)
    """
    given = config.get("id2label")
    names = {int(index): str(name).strip().lower() for index, name in given.items()} if given else {}
    same = next((index for index, name in names.items() if name in _SAME), None)
    entails = same is not None and names[same] == "entailment"
    return Labels(same, config.get("problem_type") == "multi_label_classification", entails)


def find_folder(model: str) -> tuple[Path, Path] | None:
    """Return a model's folder and its ONNX file; None if it has no ONNX file here.

    Args:
        model: a folder, an ONNX file in one, or a name: the hub's local cache is then searched.

    Raises:
        EmbeddingUnavailableError: the folder or file is not complete.
    """
    path = Path(model).expanduser()
    if path.suffix == ".onnx":
        if not path.is_file():
            raise EmbeddingUnavailableError(f"model={model!r}: there is no such file")
        folders = [folder for folder in (path.parent, path.parent.parent) if (folder / "tokenizer.json").is_file()]
        if not folders:
            raise EmbeddingUnavailableError(f"model={model!r}: there is no tokenizer.json beside it or one folder up")
        return folders[0], path
    given = path.is_dir()
    for folder in [path] if given else hub_folders(model):
        file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
        if file is not None and (folder / "tokenizer.json").is_file():
            return folder, file
        if given and file is not None:
            raise EmbeddingUnavailableError(f"model={model!r}: the folder holds no tokenizer.json")
    return None


class PairModel:
    """Scores two texts with a model: 1.0 for "surely the same". Loads it on first use; several threads may use one.

    Args:
        model: a folder, an ONNX file, or a name in the hub's local cache; with sentence-transformers installed, also
            a model that has no ONNX file.
        max_tokens: most tokens of both texts together; None is what the model reads.
    """

    def __init__(self, model: str | os.PathLike[str], max_tokens: int | None = None) -> None:
        self.name = os.fspath(model)
        self.max_tokens = max_tokens
        self._loading: LoadOnce[Score] = LoadOnce(
            self._load, lambda error: f"model={self.name!r} cannot be loaded: {type(error).__name__}", native=True
        )

    def score(self, one: str, other: str) -> float:
        """Return how probably two texts say the same, from 0 to 1. Blocks.

        Raises:
            Unknown: the texts are longer than the model reads. Nothing is cut.
            EmbeddingUnavailableError: the model cannot be loaded.
        """
        return self._loading.get()(one, other)

    def _load(self) -> Score:
        found = find_folder(self.name)
        return _open_onnx(*found, self.max_tokens) if found else _open_torch(self.name, self.max_tokens)


def _open_onnx(folder: Path, file: Path, max_tokens: int | None) -> Score:
    try:
        onnxruntime = import_onnxruntime()
        from tokenizers import Tokenizer
    except ImportError as error:
        raise EmbeddingUnavailableError(f"a model in ONNX needs: {install('semantic')}") from error
    import numpy as np

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(2, os.cpu_count() or 1)
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    names = {item.name for item in session.get_inputs()}
    config = _read_json(folder / "config.json")
    labels = read_labels(config)
    most = _most_tokens(config, _read_json(folder / "tokenizer_config.json"), max_tokens)

    def one_way(one: str, other: str) -> float:
        encoded = tokenizer.encode(one, other)
        _check_length(len(encoded.ids), most)
        given = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
        feed = {name: np.asarray([value], dtype=np.int64) for name, value in given.items() if name in names}
        logits = np.asarray(session.run(None, feed)[0], dtype=np.float64).reshape(-1)
        return labels.probability(logits.tolist())

    return _both_ways(one_way) if labels.both_ways else one_way


def _open_torch(name: str, max_tokens: int | None) -> Score:
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise EmbeddingUnavailableError(_absent(name)) from error
    try:
        model: Any = CrossEncoder(name, local_files_only=True)
    except OSError as error:  # not in the local cache
        raise EmbeddingUnavailableError(_absent(name)) from error
    holders = (getattr(model, name, None) for name in ("config", "model", "transformers_model"))  # by version
    found = next((getattr(holder, "config", holder) for holder in holders if holder is not None), None)
    config = found.to_dict() if found is not None else {}
    raw = _raw(model)
    labels = read_labels(config)
    most = _most_tokens(config, {"model_max_length": model.tokenizer.model_max_length}, max_tokens)

    def one_way(one: str, other: str) -> float:
        _check_length(len(model.tokenizer(one, other, truncation=False)["input_ids"]), most)
        # The raw outputs: which function belongs on them is read from the labels, as with ONNX.
        tensor = model.predict([(one, other)], show_progress_bar=False, convert_to_numpy=True, **raw)
        return labels.probability([float(value) for value in tensor.reshape(-1)])

    return _both_ways(one_way) if labels.both_ways else one_way


def _raw(model: Any) -> dict[str, Any]:
    """Return the argument of `predict` for raw outputs, whose name has changed between versions."""
    import inspect

    from torch.nn import Identity

    known = inspect.signature(model.predict).parameters
    name = next((name for name in ("activation_fn", "activation_fct") if name in known), None)
    if name is None:
        raise EmbeddingUnavailableError(
            "this version of sentence-transformers gives no raw outputs: use a model in ONNX"
        )
    return {name: Identity()}


def _absent(name: str) -> str:
    if Path(name).expanduser().is_dir():
        return (
            f"model={name!r}: the folder holds no model.onnx and no onnx/model.onnx. For a model without ONNX: "
            f"{install('sentence-transformers')}"
        )
    return (
        f"model={name!r} is no folder, and the hub's local cache has no ONNX file and tokenizer.json of it. Nothing is "
        f"downloaded at run time. Fetch it first: hf download {name} --include onnx/model.onnx --include '*.json'; "
        f"or, if it comes without ONNX: {install('sentence-transformers')}, and hf download {name}"
    )


def _both_ways(one_way: Score) -> Score:
    return lambda one, other: min(one_way(one, other), one_way(other, one))


def _check_length(tokens: int, most: int) -> None:
    if tokens > most:
        raise Unknown(f"both texts together have {tokens} tokens, and the model reads {most}")


def _most_tokens(config: Mapping[str, Any], tokenizer: Mapping[str, Any], given: int | None) -> int:
    """Return how many tokens a model reads: the least of what its files and the caller say."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET:
        positions -= 2
    known = [value for value in (positions, tokenizer.get("model_max_length")) if isinstance(value, (int, float))]
    read = int(min([value for value in known if 0 < value < 10**6], default=_USUAL))
    return read if given is None else min(read, given)


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = json.loads(file.read_text("utf-8"))
    return found if isinstance(found, dict) else {}


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
