"""What a wire format does: read a request, judge an answer, and turn it from JSON to a stream and back."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.wire.events import payload
from semantic_llm_cache.wire.strict import without

__all__ = ["Asked", "Format", "Reading"]


@dataclass(frozen=True)
class Reading:
    """How requests are read.

    Attributes:
        window: how many messages of history count; None is all, see `turns.last_turn`.
        tool_calls: whether answers that call tools may be stored.
        ignore: fields of the body that do not count.
    """

    window: int | None = None
    tool_calls: bool = False
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Asked:
    """A request, read.

    Attributes:
        text: what near matching compares.
        scope: all else that counts, plain data.
        stream: whether the answer is wanted piece by piece.
        body: the request's body.
        near: False when only equal text may answer.
    """

    text: str
    scope: Any
    stream: bool
    body: Mapping[str, Any]
    near: bool = True


class Format(ABC):
    """One provider's way of asking and answering."""

    name = ""
    """Of the format: ``"openai.chat"``."""

    paths: tuple[str, ...] = ()
    """Ends of the URL paths that speak it."""

    framing = "sse"
    """How streams are cut: ``"sse"`` or ``"lines"``."""

    neutral: Mapping[str, str] = {"stream": "whether the answer comes whole or in pieces; it is the same answer"}
    """Fields of the body that are left out of the scope, each with the reason why it cannot change the answer."""

    stream_options: Mapping[str, str] = {}
    """Fields of ``stream_options`` that are left out when they are true or false, each with the reason."""

    def read(self, body: Mapping[str, Any], reading: Reading) -> Asked | None:
        """Return the request as text and scope; None for one that must not be cached.

        Raises:
            CacheKeyError, TypeError, ValueError, KeyError: a body that this format does not know; the request
                bypasses the cache.
        """
        rest = {
            name: value
            for name, value in body.items()
            if name not in reading.ignore
            # A `stream` that is neither true nor false is not understood.
            and (name not in self.neutral or (name == "stream" and not isinstance(value, bool)))
        }
        if self.stream_options and "stream_options" in rest:
            options = without(rest.pop("stream_options"), self.stream_options)
            if options is not None or body["stream_options"] is None:
                rest["stream_options"] = options
        asked = self.take(rest, reading)
        if asked is None:
            return None
        text, scope, near = asked
        return Asked(text, {"wire": self.name, **scope}, self.streams(body), body, near)

    def streams(self, body: Mapping[str, Any]) -> bool:
        """Return whether the request asks for a stream."""
        return body.get("stream") is True

    @abstractmethod
    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Return (text, scope, near) of a body without its neutral fields; None: not to be cached."""

    @abstractmethod
    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Return why an answer must not be stored, as `because` makes it; ``""`` when it may be."""

    def collect(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any] | None:
        """Return the answer that a whole, well-formed stream adds up to; None for any other stream."""
        try:
            return self.read_stream(blocks, asked)
        except NotStored:
            return None

    def read_stream(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any]:
        """Do the same as `collect`, and raise NotStored with the reason where that returns None.

        Args:
            blocks: of the stream, whose body has ended.
            asked: the request, which may say what must be there; None is not known.
        """
        try:
            return self.assemble(blocks, asked)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            reason = because("incomplete", f"an event is not valid ({type(error).__name__})")
            raise NotStored(reason) from None

    def assemble(self, blocks: Sequence[str], asked: Asked | None = None) -> dict[str, Any]:
        """Do `read_stream`; may also raise what an event that is not valid leads to."""
        raise NotStored(because("unknown", "this format has no streams"))

    def split(self, answer: Mapping[str, Any], asked: Asked) -> list[str] | None:
        """Return an answer as the blocks of a stream; None when this format has no such stream."""
        return None

    def fit_stream(self, blocks: list[str], asked: Asked) -> list[str] | None:
        """Return stored blocks in the form that this request asks for; None when something is missing."""
        return blocks

    def fit_answer(self, answer: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer of a stored stream for a request without a stream; None where it does not hold enough."""
        return answer

    def ends(self, block: str) -> bool:
        """Return whether a block is the last of its stream."""
        return False

    def text(self, answer: Mapping[str, Any]) -> str:
        """Return the words of an answer."""
        return ""

    def usage(self, answer: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the tokens used, under names that the engine counts; None when the answer does not say."""
        usage = answer.get("usage")
        return dict(usage) if isinstance(usage, Mapping) else None


def event_type(block: str) -> str:
    """Return the ``type`` of an event's data, ``""`` when there is none."""
    data = payload(block)
    if data is None or not data.startswith("{"):
        return ""
    try:
        value = json.loads(data)
    except ValueError:
        return ""
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else ""


def is_blank(value: Any) -> bool:
    """Return whether a text is missing or only space."""
    return not (isinstance(value, str) and value.strip())
