"""How a `CachedChatModel` stores answers: whole ones as generations, streams as their chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from langchain_core.messages import message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.integrations.langchain.stored import NOTE, cut_off, ended_well, plain, rebuilt, usage_of

__all__ = ["ChunkCodec", "Originals", "noted", "record_of", "result_of", "words"]


class Originals:
    """The model's own objects, kept by the plain data made of them.

    The caller whose call made an answer gets the model's own objects; others get them rebuilt from the data.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Any, Any]] = {}

    def keep(self, data: Any, original: Any) -> Any:
        """Keep an object, and return the data."""
        self._kept[id(data)] = data, original
        return data

    def take(self, data: Any) -> Any:
        """Return the object that these very data were made of, once; else None."""
        found = self._kept.pop(id(data), None)
        return None if found is None else found[1]


# ------------------------------------------------------------------------------------ whole answers


def record_of(result: ChatResult) -> dict[str, Any]:
    """Return a result as plain data to store."""
    generations = []
    for generation in result.generations:
        data = _anonymous(plain(generation))
        if result.llm_output and len(result.generations) == 1:
            # As LangChain does. What a hit hands to callbacks as `llm_output` would be counted as billed.
            said = {**result.llm_output, **(data["info"] or {}), **data["message"].get("response_metadata", {})}
            data["message"]["response_metadata"] = said
        generations.append(data)
    return {"generations": generations, **_for_people(result.generations)}


def result_of(record: Any) -> ChatResult:
    """Return the result that a record holds, whole or as a stream.

    Raises:
        KeyError, TypeError, ValueError: it is not of this form.
    """
    return ChatResult(generations=[rebuilt(data) for data in record["generations"]])


def words(record: Any) -> Any:
    """Return the words of a record, or anything else as it is."""
    return record.get("content", "") if isinstance(record, dict) else record


def _for_people(generations: Iterable[ChatGeneration]) -> dict[str, Any]:
    """Return what people and policies read of a record, and where the engine counts tokens."""
    first = next(iter(generations), None)
    usage = None if first is None else usage_of(first.message)
    return {"content": "" if first is None else str(first.text), **({"usage": usage} if usage else {})}


def _anonymous(data: dict[str, Any]) -> dict[str, Any]:
    """Remove from a message what belongs to one run: its id, and what this cache wrote into it.

    A message with the id of another replaces that one in the state of an agent, so each answer gets an id of its own.
    """
    message = data["message"]
    message.pop("id", None)
    said = message.get("response_metadata")
    if said and NOTE in said:
        message["response_metadata"] = {name: value for name, value in said.items() if name != NOTE}
    return data


# ------------------------------------------------------------------------------------ streams


class ChunkCodec:
    """How a stream is stored: as the data of its chunks, beside the whole answer. See `streams.call.Codec`."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._copies: list[ChatGenerationChunk] = []

    def opened(self) -> None:
        """Note that the model's stream begins."""
        self._copies = []

    def data(self, chunk: ChatGenerationChunk) -> dict[str, Any]:
        """Return a chunk of the model's stream as plain data."""
        made = _anonymous(plain(chunk))
        # LangChain changes the chunk itself. A copy is made now, as the chunk arrives, since all of them at the end of
        # a long stream would hold up the event loop.
        self._copies.append(rebuilt(made))
        return made

    def chunks(self, value: Any) -> list[Any] | None:
        """Return a record as the data of chunks; None if it cannot be given as a stream."""
        try:
            if "chunks" in value:
                for data in value["chunks"]:
                    rebuilt(data)
                return list(value["chunks"]) or None
            (whole,) = value["generations"]
            return [_as_chunk(rebuilt(whole))]
        except (KeyError, TypeError, ValueError):
            return None

    def value(self, chunks: list[Any]) -> Any:
        """Return the data of chunks as a record. Raises NotStored unless they say that the stream is complete."""
        reason = because("incomplete") if not chunks or len(chunks) != len(self._copies) else ""
        reason = reason or next(filter(None, map(cut_off, chunks)), "")
        if reason:
            raise NotStored(reason)
        if not any(ended_well(data) for data in chunks):
            self._log(
                "a stream of a chat model is not stored: no chunk says that it is complete, by a finish_reason in "
                "response_metadata or by chunk_position"
            )
            raise NotStored(because("incomplete", "no chunk says that it is complete"))
        first, *others = self._copies
        merged = first + others if others else first
        message = message_chunk_to_message(merged.message)
        whole = ChatGeneration(message=message, generation_info=merged.generation_info)
        return {**record_of(ChatResult(generations=[whole])), "chunks": chunks}

    def ends(self, chunk: Any) -> bool:
        """Return whether no chunk with content or usage follows."""
        return bool(chunk["message"].get("chunk_position") == "last")


def _as_chunk(generation: ChatGeneration) -> dict[str, Any]:
    """Return a whole answer as the data of one chunk. Raises KeyError for a message that has no chunks."""
    data = plain(generation)
    kinds = {"AIMessage": "AIMessageChunk", "ChatMessage": "ChatMessageChunk"}
    kind = kinds[data["message_kind"]]
    last = {"chunk_position": "last"} if kind == "AIMessageChunk" else {}
    return {**data, "kind": "ChatGenerationChunk", "message_kind": kind, "message": {**data["message"], **last}}


# ------------------------------------------------------------------------------------ what the cache did


def noted(generation: Any, found: Lookup | None) -> Any:
    """Return a copy of a generation whose message says in `response_metadata` what the cache did."""
    note: dict[str, Any] = {"outcome": "miss" if found is None else found.outcome}
    if found is not None:
        details = {"id": found.id, "similarity": found.similarity, "entry_key": found.entry_key, "age": found.age}
        note.update((name, value) for name, value in details.items() if value is not None)
    message = generation.message
    said = {**(message.response_metadata or {}), NOTE: note}
    return generation.model_copy(update={"message": message.model_copy(update={"response_metadata": said})})
