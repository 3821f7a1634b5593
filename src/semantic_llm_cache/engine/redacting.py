"""`redact=`: what of a prompt may be kept.

A redacted request has the key of the prompt as it was given, and a text that may be stored, embedded, shown and passed
to callables. Everything behind the engine's methods sees only that text. Such a call is matched by equal text only:
two prompts that are equal once masked are different questions.
"""

from __future__ import annotations

import hmac
import inspect
import os
from collections.abc import Callable
from typing import Any

from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.keys.request import Request, clean_text
from semantic_llm_cache.keys.secret_hashes import secret_key
from semantic_llm_cache.redaction import describe

__all__ = ["Redaction"]

_OF_THIS_PROCESS = os.urandom(32)


class Redaction:
    """Applies a user's `redact=`.

    Args:
        redact: takes a prompt; returns it as it may be stored, or None if it may not be stored at all.
        notices: logs problems.
    """

    def __init__(self, redact: Callable[[str], Any], notices: Notices) -> None:
        self._redact = redact
        self._notices = notices

    def applied(self, request: Request) -> Request:
        """Return the request as it may be kept: itself, if nothing of it must be hidden."""
        if request.redacted or not request.text:
            return request
        text = self._text(request.text)
        if text is not None:
            text = clean_text(text)
        return request if text == request.text else request.hidden(text, _keyed(request.key))

    def _text(self, prompt: str) -> str | None:
        """Return what `redact` does. A callable that fails has hidden nothing, so nothing is stored."""
        try:
            text = self._redact(prompt)
        except Exception as error:
            self._notices.log_once("redact", f"redact raised {describe(error)}: such prompts are not stored")
            return None
        if text is None or isinstance(text, str):
            return text
        if inspect.iscoroutine(text):
            text.close()
        self._notices.log_once(
            "redact",
            f"redact returned a value of type {type(text).__name__}, so the prompt is not stored: return text or None",
        )
        return None


def _keyed(key: str) -> str:
    """Return a keyed hash of a key, so that nobody who reads the storage can test guesses of what was masked.

    With ``SEMANTIC_LLM_CACHE_SECRET`` it is the same in all processes. Without, it is random in each.
    """
    secret = secret_key()
    used = secret.encode("utf-8", "surrogatepass") if secret else _OF_THIS_PROCESS
    return hmac.digest(used, f"redacted prompt {key}".encode("utf-8", "surrogatepass"), "sha256").hex()[:40]
