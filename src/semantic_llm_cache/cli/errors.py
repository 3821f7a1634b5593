"""The program's name, and the error that a command ends with."""

from __future__ import annotations

__all__ = ["PROGRAM", "CommandError"]

PROGRAM = "semantic-llm-cache"


class CommandError(Exception):
    """A command failed; the text is the line shown to the user.

    Args:
        message: what is wrong and what to do.
        code: exit code: 1 for a failure, 2 for an invalid command line.
        redacted: whether the message is known to hold no secret, so that the URLs in it are shown whole.
    """

    def __init__(self, message: str, code: int = 1, *, redacted: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.redacted = redacted
