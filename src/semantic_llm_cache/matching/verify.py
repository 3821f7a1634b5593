"""Verifiers: a second opinion about near candidates, from a cross-encoder or a model.

A verifier is any callable ``(prompt, candidate_prompt, response) -> bool | float``, sync or async: True, or a
number of at least 0.5, means that the candidate's answer also answers the new prompt.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

from semantic_llm_cache.arguments import check_count, check_number, check_path

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


def _is_path(model: str | os.PathLike[str]) -> bool:
    """Return whether a model is surely named by its path: names of the hub look like relative paths."""
    return not isinstance(model, str) or os.path.isabs(model) or model.startswith(("./", "../", "~"))


class CrossEncoderVerifier:
    """Scores both prompts together with a model: slower than vectors, but aware of word order.

    Args:
        model: a folder that holds ``model.onnx`` or ``onnx/model.onnx``, ``tokenizer.json`` and ``config.json``; an
            ONNX file in such a folder; or a name (``"cross-encoder/nli-deberta-v3-small"``) that is in the hub's
            local cache. It runs on onnxruntime, without torch. With sentence-transformers installed, a model without
            ONNX will do. Nothing is downloaded.
        threshold: score from which two prompts count as the same.
        max_tokens: most tokens of both prompts together; None is what the model reads.

    The model may be a cross-encoder (one output: its sigmoid; two labels: the one that means the same) or one for
    natural language inference (entailment, neutral, contradiction: each prompt must follow from the other). Labels
    are read from ``config.json``.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> judge = CrossEncoderVerifier("models/cross-encoder")   # doctest: +SKIP
        >>> judge("What is Python?", "Explain Python", "...")      # doctest: +SKIP
        0.93
    """

    def __init__(self, model: str | os.PathLike[str], *, threshold: float = 0.5, max_tokens: int | None = None) -> None:
        from semantic_llm_cache.matching.judges.pair_model import PairModel

        self.model = check_path(model, "model")
        if _is_path(model) and not os.path.exists(os.path.expanduser(self.model)):
            raise ValueError(f"model={self.model!r}: there is no such folder or file")
        self.threshold = check_number(threshold, "threshold", "a number between 0 and 1", above=0)
        if self.threshold >= 1:
            raise ValueError(f"threshold={threshold!r} must be a number between 0 and 1")
        self.max_tokens = max_tokens if max_tokens is None else check_count(max_tokens, "max_tokens")
        self._pairs = PairModel(self.model, self.max_tokens)

    def __call__(self, prompt: str, candidate: str, response: Any = None) -> float:
        """Return a score from 0 to 1; 0.5 stands for the threshold. Blocks: engines call it in a thread.

        Raises:
            PromptCacheError: the model cannot be loaded, or the prompts are longer than it reads.
        """
        # Shift the score so that any threshold becomes 0.5.
        return math.pow(self._pairs.score(prompt, candidate), math.log(0.5) / math.log(self.threshold))


_QUESTION = """\
Two users asked an assistant:

A: {candidate}

B: {prompt}

Would the very same answer serve both of them fully and correctly? Differences in numbers, names, dates, units,
negation, direction or the form of answer asked for mean no. Answer with the one word yes or no."""


class LLMJudge:
    """Asks a chat model whether one answer serves both prompts, with a prompt of your own.

    `ModelJudge` does the same with a cache, a budget and a prompt that no text inside it can answer; here a prompt that
    says "reply yes" may be obeyed.

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
