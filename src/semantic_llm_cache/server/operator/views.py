"""Entries and calls as plain data for JSON. Scopes are shown by the start of their hash, vectors not at all."""

from __future__ import annotations

import json
from typing import Any

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.management.labels import origin_of_entry
from semantic_llm_cache.matching.answers.text import answer_text
from semantic_llm_cache.server.operator.history import Event, History
from semantic_llm_cache.values.encoding import dumps
from semantic_llm_cache.values.odd_text import unescape

__all__ = ["SCOPE", "entry_in_full", "entry_in_short", "event_view"]

SCOPE = 12
"""How many characters of a scope's hash are shown."""

_PROMPT = 500
_ANSWER = 500


def entry_in_short(key: str, entry: CacheEntry, backend: int, now: float, *, text: bool) -> dict[str, Any]:
    """Return an entry as a line of a list: its prompt and answer are cut to 500 characters.

    Args:
        key: its key.
        entry: the entry.
        backend: the number of its backend.
        now: wall seconds there.
        text: whether to show prompt and answer.
    """
    origin = origin_of_entry(entry)
    return {
        "key": key,
        "backend": backend,
        "namespace": entry.namespace,
        "scope": entry.scope[:SCOPE],
        "function": origin.function,
        "model": origin.model,
        "prompt": entry.prompt[:_PROMPT] if text else None,
        "answer": _text_of(entry)[:_ANSWER] if text else None,
        "created_at": entry.created_at,
        "age": max(0.0, now - entry.created_at),
        "expires_in": None if entry.ttl is None else entry.created_at + entry.ttl - now,
        "hits": entry.hit_count,
        "last_hit_at": entry.last_accessed,
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "cost_usd": entry.cost_usd,
        "duration_ms": entry.duration_ms,
        "tags": list(entry.tags),
    }


def entry_in_full(key: str, entry: CacheEntry, backend: int, now: float, *, text: bool) -> dict[str, Any]:
    """Return all of an entry but its vector; ``response`` is the answer in its stored (tagged) form."""
    record = entry_in_short(key, entry, backend, now, text=text)
    record["prompt"] = entry.prompt if text else None
    record["answer"] = _text_of(entry) if text else None
    record["response"] = _stored(entry) if text else None
    record["aliases"] = list(entry.aliases) if text else None
    record["kind"] = entry.kind
    record["embedder"] = entry.embedder
    return record


def _text_of(entry: CacheEntry) -> str:
    try:
        return answer_text(entry.response)
    except CacheSerializationError:
        return ""


def _stored(entry: CacheEntry) -> Any:
    try:
        return json.loads(unescape(dumps(entry.response)))
    except CacheSerializationError:
        return None


def event_view(event: Event, history: History, *, text: bool) -> dict[str, Any]:
    """Return a call as plain data.

    Args:
        event: the call.
        history: knows what was reported about it.
        text: whether to show the prompts.
    """
    lookup = event.lookup
    return {
        "number": event.number,
        "at": event.at,
        "id": lookup.id,
        "namespace": lookup.namespace,
        "scope": lookup.scope[:SCOPE],
        "outcome": lookup.outcome,
        "would": lookup.would,
        "would_be_right": lookup.would_be_right,
        "reason": _reason(lookup, text),
        "similarity": lookup.similarity,
        "policy": lookup.policy,
        "category": lookup.category,
        "prompt": lookup.prompt if text else None,
        "matched_prompt": lookup.matched_prompt if text else None,
        "key": lookup.key,
        "entry_key": lookup.entry_key,
        "age": lookup.age,
        "duration_ms": lookup.duration_ms,
        "saved_ms": lookup.saved_ms,
        "saved_usd": lookup.saved_usd,
        "stored": lookup.stored,
        "stored_reason": lookup.stored_reason,
        "verdict": history.verdict(lookup.id),
    }


def _reason(lookup: Lookup, text: bool) -> str:
    # A veto quotes words of the prompts.
    return lookup.reason if text or not lookup.reason.startswith("veto") else "veto"
