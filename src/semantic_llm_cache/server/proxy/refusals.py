"""What the proxy answers by itself when it cannot or will not pass a request on.

The body is an error in the form of the API that was called, so that SDKs show its message.
"""

from __future__ import annotations

import json

__all__ = ["Refusal", "error_body"]

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


class Refusal(Exception):
    """A request that is refused, or an upstream that did not answer.

    Args:
        status: of HTTP.
        message: what is wrong and what to do; holds nothing of the request but names.
        headers: further headers of the reply.
        close: whether the connection is closed after the reply, as when the request was not read to its end.
        unread: whether the client may still be sending its body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        close: bool = False,
        unread: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.close = close or unread
        self.unread = unread


def error_body(name: str, status: int, message: str) -> bytes:
    """Return an error as JSON.

    Args:
        name: of the wire format that was asked, such as ``"anthropic.messages"``; OpenAI's form is used for ``""``.
        status: of HTTP.
        message: shown to the caller.

    Example:
        >>> error_body("ollama.chat", 502, "no luck")
        b'{"error":"no luck"}'
    """
    kind = "invalid_request_error" if status < 500 else "proxy_error"
    error: object = {"message": message, "type": kind, "param": None, "code": f"proxy_{status}"}
    if name.startswith("anthropic"):
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return _dumped({"type": "error", "error": {"type": kind, "message": message}})
    return _dumped({"error": message if name.startswith("ollama") else error})


def _dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
