"""`Request`: one question. The scope says who asks and how; the text says what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.fingerprint import KEY_VERSION, digest
from semantic_llm_cache.values.introspection import own_state

__all__ = [
    "MASKED",
    "REFUSED",
    "Redacted",
    "Request",
    "clean_text",
    "key_of_text",
    "looks_like_messages",
    "split_messages",
]


Redacted = Literal["", "masked", "refused"]
MASKED: Redacted = "masked"
REFUSED: Redacted = "refused"


def clean_text(text: str) -> str:
    """Return `text` as both tiers use it: Unicode NFC, unified line ends, no outer white space.

    Inner white space stays: in a prompt with code, indentation has meaning.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFC", text)
    return str.strip(text)


class Request:
    """One question: where its answers are kept, who asks and how, and what is asked.

    Args:
        namespace: name for management; requests of different namespaces never share an answer.
        scope: everything that must be *equal* for an answer to serve: model, temperature, tenant,
            system prompt. Strings, numbers, dates, and mappings, lists and dataclasses of them.
        text: the question itself, the only part that near matching compares.
        key: replaces the text in the exact key (what `key_func` returned).

    Attributes:
        scope_hash: hex digest of namespace and scope.
        key: the exact key, a string of 42 characters that starts with the version of its form.
        slots: how many slots of a `prompt_template=` the text holds; 0 if it is a whole prompt.
        redacted: what `redact=` did: ``""`` for nothing; ``"masked"`` if the text is not the one that was asked;
            ``"refused"`` if the answer must not be stored.

    Raises:
        CacheKeyError: the scope holds something without a stable fingerprint.

    Example:
        >>> a = Request("faq", {"model": "small"}, "What is Python?")
        >>> b = Request("faq", {"model": "large"}, "What is Python?")
        >>> a.key == b.key
        False
    """

    __slots__ = ("key", "namespace", "redacted", "scope_hash", "slots", "text")

    redacted: Redacted

    def __init__(
        self, namespace: str = "default", scope: Any = None, text: str = "", *, key: str | None = None
    ) -> None:
        if not isinstance(namespace, str):
            raise TypeError(f"namespace={namespace!r} must be a string")
        if not namespace:
            raise ValueError(f"namespace={namespace!r} must be a non-empty string")
        if not isinstance(text, str):
            raise TypeError(f"text={text!r} must be a string")
        self.namespace = namespace
        self.slots = 0
        self.redacted = ""
        self.text = clean_text(text)
        self.scope_hash = digest("scope", KEY_VERSION, namespace, scope)
        if key is None:
            self.key = key_of_text(self.scope_hash, self.text)
        else:
            self.key = f"{KEY_VERSION}:" + digest("key", self.scope_hash, key)

    def within(self, namespace: str) -> Request:
        """Return the same question under a more specific namespace, which only splits the entries further."""
        other = Request(namespace, {"within": self.scope_hash, "key": self.key}, self.text)
        other.slots, other.redacted = self.slots, self.redacted
        return other

    def hidden(self, text: str | None, hashed: str) -> Request:
        """Return the same question with another text to show and store.

        Args:
            text: takes the place of the prompt; None if nothing may be stored.
            hashed: a keyed hash of the key, which takes its place.
        """
        made = object.__new__(type(self))
        made.namespace, made.scope_hash, made.slots = self.namespace, self.scope_hash, 0
        made.text = "" if text is None else clean_text(text)
        made.redacted = REFUSED if text is None else MASKED
        made.key = f"{KEY_VERSION}:{hashed}"
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and (self.key, self.text) == (other.key, other.text)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        # Prompts stay out of logs, so a request shows its length only.
        return f"Request(namespace={self.namespace!r}, key={self.key!r}, text of {len(self.text)} characters)"


def key_of_text(scope_hash: str, text: str) -> str:
    """Return the exact key of a text in a scope."""
    return f"{KEY_VERSION}:" + digest("text", scope_hash, text)


class Conversation(NamedTuple):
    """Split messages into the last user turn and everything else."""

    text: str
    rest: Any


def _part(item: Any, name: str) -> Any:
    if isinstance(item, Mapping):
        return item.get(name)
    return getattr(item, name, None)


def looks_like_messages(value: Any) -> bool:
    """Return whether `value` is a list of chat messages (things with a role and a content)."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, (str, bytes, bytearray))
        and len(value) > 0
        and all(isinstance(_role(item), str) for item in value)
    )


def _role(item: Any) -> Any:
    role = _part(item, "role")
    if role is None and not isinstance(item, Mapping):
        role = {"human": "user"}.get(getattr(item, "type", None) or "", getattr(item, "type", None))
    return getattr(role, "value", role)


def _beside(item: Any, taken: tuple[str, ...]) -> dict[Any, Any]:
    """Return what a message or a part holds besides `taken`. A field of an object that is None counts as unset."""
    if isinstance(item, Mapping):
        own = own_state(item, type(item), dict) if isinstance(item, dict) else {}
        return {name: value for name, value in {**own, **item}.items() if name not in taken}
    held: dict[Any, Any] = own_state(item, type(item))
    for part in ("__pydantic_extra__", "__pydantic_private__"):
        held.update(getattr(item, part, None) or {})
    return {name: value for name, value in held.items() if name not in taken and value is not None}


def _split_parts(content: Sequence[Any]) -> tuple[str, list[Any]]:
    """Return the text of a content in parts, and what else counts of the parts, each with its place among the texts."""
    texts: list[str] = []
    others: list[Any] = []
    for part in content:
        body = part if isinstance(part, str) else _part(part, "text")
        if isinstance(body, str) and (isinstance(part, str) or _part(part, "type") in (None, "text", "input_text")):
            rest = None if isinstance(part, str) else _beside(part, ("text",))
            if rest != {"type": "text"}:
                others.append((len(texts), "text", rest))
            texts.append(body)
        else:
            # With how much text came before it: a picture's place among the words counts.
            others.append((len(texts), part))
    if len(texts) != 1:
        # Counted in lines, so that the joined text can be cut again.
        others.append(("lines", [clean_text(f".{text}.").count("\n") for text in texts]))
    return "\n".join(texts), others


def split_messages(messages: Sequence[Any], name: str = "messages") -> Conversation:
    """Take the last user turn as the text, all else (system prompt, history, images) as scope.

    Messages are mappings, or objects with `role` and `content` (pydantic models); a content is text or
    a list of parts, of which the text parts are joined. The other parts are scope, and so are the other fields of
    text parts (citations, marks, a gateway's own) and where one text part ends and the next begins.

    Raises:
        CacheKeyError: the value is not a list of messages.
    """
    if not looks_like_messages(messages):
        raise CacheKeyError(
            f"{name} must be a non-empty list of messages with a role and a content, or a string: name the "
            'parameter that holds the prompt with prompt="...", or give the key with key_func='
        )
    last = max((i for i, item in enumerate(messages) if _role(item) == "user"), default=None)
    if last is None:
        return Conversation("", list(messages))
    content = _part(messages[last], "content")
    if isinstance(content, str):
        text, others = content, list[Any]()
    elif isinstance(content, Sequence) and not isinstance(content, (bytes, bytearray)):
        text, others = _split_parts(content)
    else:
        text, others = "", [content]
    # The position of the turn counts, so the history keeps an empty place for it.
    hole = {"turn": {**_beside(messages[last], ("content",)), "role": "user"}, "parts": others}
    history = [*messages[:last], hole, *messages[last + 1 :]]
    return Conversation(text, history)
