"""Verifiers: a second opinion about near candidates, from a cross-encoder or a model.

A verifier is any callable ``(prompt, candidate_prompt, response) -> bool | float``, sync or async: True, or a
number of at least 0.5, means that the candidate's answer also answers the new prompt.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import pathlib
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from semantic_llm_cache.exceptions import PromptCacheError

__all__ = ["CrossEncoderVerifier", "LLMJudge", "Verifier", "as_probability", "as_verdict", "call_either"]

Verifier = Callable[[str, str, Any], bool | float | Awaitable[bool | float]]


def as_verdict(value: Any) -> bool:
    """Return a verifier's answer as a decision.

    Raises:
        TypeError: neither a bool nor a number.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) or hasattr(value, "item"):
        return float(value) >= 0.5
    raise TypeError(f"verify returned {type(value).__name__}: it must return True, False, or a number from 0 to 1")


def as_probability(value: Any) -> float:
    """Return what a judge of answers says as a probability: True is 1.0, False 0.0, a number stays within 0 and 1.

    Raises:
        TypeError: neither a bool nor a number.
    """
    if isinstance(value, (bool, int, float)) or hasattr(value, "item"):
        number = float(value)
        if number == number:
            return min(1.0, max(0.0, number))
    raise TypeError(f"same_answer returned {type(value).__name__}: it must return True, False, or a number from 0 to 1")


async def call_either(function: Any, *args: Any) -> Any:
    """Call a sync or async callable; a sync one in a thread, since it may be a model."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(type(function), "__call__", None)):
        return await function(*args)
    value = await asyncio.to_thread(function, *args)
    return await value if inspect.isawaitable(value) else value


class CrossEncoderVerifier:
    """Scores both prompts together with a cross-encoder: slower than vectors, but aware of word order.

    Args:
        model: a name for sentence-transformers (``"cross-encoder/quora-roberta-base"``), or a folder that
            holds ``model.onnx`` and ``tokenizer.json``, which runs on onnxruntime without torch.
        threshold: score, after a sigmoid, from which two prompts count as the same.
        max_tokens: most tokens of both prompts together.

    Raises:
        PromptCacheError: the library is not installed, or the folder lacks a file.

    Example:
        >>> judge = CrossEncoderVerifier("models/cross-encoder")   # doctest: +SKIP
        >>> judge("What is Python?", "Explain Python", "...")      # doctest: +SKIP
        0.93
    """

    def __init__(self, model: str | os.PathLike[str], *, threshold: float = 0.5, max_tokens: int = 256) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold!r} must lie between 0 and 1")
        self.model = os.fspath(model)
        self.threshold = threshold
        self.max_tokens = max_tokens
        self._lock = threading.Lock()
        self._score: Callable[[str, str], float] | None = None

    def __call__(self, prompt: str, candidate: str, response: Any = None) -> float:
        """Return a score from 0 to 1; 0.5 stands for the threshold. Blocks: engines call it in a thread."""
        with self._lock:
            if self._score is None:
                folder = pathlib.Path(self.model)
                self._score = self._onnx(folder) if folder.is_dir() else self._sentence_transformers()
            score = self._score(prompt, candidate)
        # Shift the score so that any threshold becomes 0.5.
        return math.pow(score, math.log(0.5) / math.log(self.threshold))

    def _onnx(self, folder: pathlib.Path) -> Callable[[str, str], float]:
        for name in ("model.onnx", "tokenizer.json"):
            if not (folder / name).is_file():
                raise PromptCacheError(f"model={self.model!r}: the folder holds no {name}")
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise PromptCacheError(
                'a cross-encoder in ONNX needs: pip install "semantic-llm-cache[semantic]"'
            ) from error
        import numpy as np

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(2, os.cpu_count() or 1)
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(self.max_tokens)
        tokenizer.no_padding()
        names = {item.name for item in session.get_inputs()}

        def score(prompt: str, candidate: str) -> float:
            encoded = tokenizer.encode(prompt, candidate)
            given = {
                "input_ids": encoded.ids,
                "attention_mask": encoded.attention_mask,
                "token_type_ids": encoded.type_ids,
            }
            feed = {name: np.asarray([value], dtype=np.int64) for name, value in given.items() if name in names}
            logits = np.asarray(session.run(None, feed)[0], dtype=np.float64).reshape(-1)
            if logits.size == 1:
                return _sigmoid(float(logits[0]))
            return _sigmoid(float(logits[-1] - logits[0]))  # two classes: the last is "the same"

        return score

    def _sentence_transformers(self) -> Callable[[str, str], float]:
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise PromptCacheError(
                f"model={self.model!r} is no folder here, and for a name it takes: "
                'pip install "semantic-llm-cache[sentence-transformers]"'
            ) from error
        model: Any = CrossEncoder(self.model, max_length=self.max_tokens)

        def score(prompt: str, candidate: str) -> float:
            value = float(model.predict([(prompt, candidate)], show_progress_bar=False)[0])
            return value if 0 <= value <= 1 else _sigmoid(value)

        return score


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


_QUESTION = """\
Two users asked an assistant:

A: {candidate}

B: {prompt}

Would the very same answer serve both of them fully and correctly? Differences in numbers, names, dates, units,
negation, direction or the form of answer asked for mean no. Answer with the one word yes or no."""


class LLMJudge:
    """Asks a chat model whether one answer serves both prompts.

    Args:
        chat: sync or async callable from a question to the model's text.
        question: template with ``{prompt}``, ``{candidate}`` and, when wanted, ``{response}``.

    Example:
        >>> judge = LLMJudge(lambda question: "Yes.")
        >>> judge("What's Python?", "What is Python?", "A language.")
        True
    """

    def __init__(self, chat: Callable[[str], Any], question: str = _QUESTION) -> None:
        if not callable(chat):
            raise TypeError(f"chat={chat!r} must be a callable from a question to text")
        if "{prompt}" not in question or "{candidate}" not in question:
            raise ValueError("question= must hold {prompt} and {candidate}")
        self.chat = chat
        self.question = question

    def __call__(self, prompt: str, candidate: str, response: Any = None) -> Any:
        """Return True for a reply that begins with yes; awaitable when `chat` is async."""
        # Fill in one pass, so that braces and names inside a prompt stay unchanged.
        parts = {"prompt": prompt, "candidate": candidate, "response": str(response)}
        reply = self.chat(re.sub(r"\{(prompt|candidate|response)\}", lambda m: parts[m[1]], self.question))
        if inspect.isawaitable(reply):
            return self._read_later(reply)
        return self._read(reply)

    async def _read_later(self, reply: Awaitable[Any]) -> bool:
        return self._read(await reply)

    @staticmethod
    def _read(reply: Any) -> bool:
        found = re.search(r"[a-z]+", str(reply).lower())
        return found is not None and found[0] in ("yes", "true", "same")
