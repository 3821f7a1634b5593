"""What the admin API answers: the forms of its JSON, for the OpenAPI document and for the tests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Audit", "Backends", "Caches", "Deleted", "Entries", "Entry", "Health", "Histogram", "Invalidated", "Lookups",
    "Near", "NotStored", "ProblemDetails", "Ready", "Reported", "Scopes", "Settings", "Similar", "Stats", "Traffic",
    "WhatIf",
]  # fmt: skip

Number = float | None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


class Health(_Answer):
    """The process answers."""

    status: Literal["ok"]


class Ready(_Answer):
    """Whether requests can be served; ``degraded``: without some of the storage."""

    status: Literal["ready", "degraded", "not ready"]


class BackendSize(_Answer):
    """A backend and how many entries it holds."""

    number: int
    url: str
    size: int


class Summary(_Answer):
    """The totals of all namespaces together; the share of wrong hits is measured in shadow mode."""

    requests: int
    hits: int
    hit_rate: Number
    saved_ms: Number
    saved_usd: Number
    reported_right: int
    reported_wrong: int
    judged: int
    wrong: int
    wrong_rate: Number
    wrong_interval: list[float] | None = Field(description="95 % interval (Wilson).")


class Stats(_Answer):
    """The figures of this process, and by namespace the totals of all processes that have used the backends."""

    worker: str
    started_at: float
    uptime: float
    live: bool = Field(description="Whether this process sees calls.")
    hint: str | None = Field(description="How to see calls, where it sees none.")
    process: dict[str, Any] = Field(description="What `get_stats()` returns.")
    total: dict[str, dict[str, float]]
    summary: Summary
    backends: list[BackendSize]
    categories: list[dict[str, Any]]


class Calls(_Answer):
    """Calls by outcome, what they saved, and how long they took (within 8 %)."""

    exact: int
    near: int
    coalesced: int
    stale: int
    miss: int
    error: int
    bypass: int
    saved_ms: Number
    saved_usd: Number
    saved_tokens: int
    hit_p50_ms: Number
    hit_p99_ms: Number
    miss_p50_ms: Number
    miss_p99_ms: Number


class Point(Calls):
    """The calls of some minutes, from ``at`` on."""

    at: float


class _Live(_Answer):
    """What this process has seen of its own calls."""

    worker: str
    hint: str | None = Field(description="How to see calls, where this process sees none.")


class Traffic(_Live):
    """Calls over time, oldest first."""

    since: float = Field(description="When this process began to count, in wall seconds.")
    minutes: int
    step: int
    namespaces: list[str]
    points: list[Point]
    total: Calls


class Threshold(_Answer):
    """The threshold of a cache."""

    name: str
    namespace: str
    similarity: float


class Histogram(_Live):
    """How many calls met which similarity to the nearest stored prompt."""

    edges: list[float]
    hit: list[int]
    below: list[int] = Field(description="Misses, as the nearest was below the threshold.")
    refused: list[int] = Field(description="Misses for another reason: a guard, a verifier, an error budget.")
    since: Number
    thresholds: list[Threshold]


class WhatIf(_Live):
    """What a threshold would have changed for the calls that were compared by meaning of late."""

    similarity: float
    compared: int
    hits: int = Field(description="As they were.")
    hits_lost: int = Field(description="Hits below the threshold.")
    misses_above: int = Field(description="Misses below their threshold, but not below this one; guards apart.")
    checked: int = Field(description="How many of the newest of these the guards were asked about.")
    passed: int = Field(description="How many of these the guards would let through.")
    since: Number


class Event(_Answer):
    """A call."""

    number: int
    at: float
    id: str = Field(description="For reports.")
    namespace: str
    scope: str
    outcome: str
    would: str | None
    would_be_right: bool | None
    reason: str
    similarity: Number
    policy: str
    category: str | None
    prompt: str | None
    matched_prompt: str | None
    key: str
    entry_key: str | None
    age: Number
    duration_ms: Number
    saved_ms: Number
    saved_usd: Number
    stored: bool
    stored_reason: str
    verdict: Literal["wrong", "right"] | None = Field(description="What was reported.")


class Lookups(_Live):
    """The last calls, newest first."""

    last: int = Field(description="The number of the last call: pass it as `after`.")
    lookups: list[Event]


class NearEvent(Event):
    """A call that was compared by meaning."""

    worth: bool | None = Field(description="On a miss: whether the guards would let it be a hit; null: not known.")
    agree: Number = Field(description="With `compare`: how probably both answers say the same; null: not known.")


class Near(_Live):
    """Calls that were compared by meaning, newest first."""

    lookups: list[NearEvent]


class Reason(_Answer):
    """A reason why answers were not stored."""

    reason: str
    meaning: str
    expected: bool
    count: int


class NotStored(_Live):
    """Why answers were not stored, the most frequent reason first."""

    reasons: list[Reason]


class EntryLine(_Answer):
    """A stored answer; in lists its texts are cut to 500 characters."""

    key: str
    backend: int
    namespace: str
    scope: str = Field(description="The start of the hash of who asked and how.")
    function: str
    model: str
    prompt: str | None = Field(description="null where prompts are hidden.")
    answer: str | None
    created_at: float
    age: float
    expires_in: Number
    hits: int
    last_hit_at: Number
    input_tokens: int
    output_tokens: int
    cost_usd: Number
    duration_ms: Number
    tags: list[str]


class Entry(EntryLine):
    """A stored answer in full, but for its vector."""

    response: Any = Field(description="The answer in its stored form.")
    aliases: list[str] | None
    kind: str
    embedder: str


class Entries(_Answer):
    """A page of entries."""

    entries: list[EntryLine]
    matching: int = Field(description="How many of the entries looked at match.")
    complete: bool = Field(description="False: the time was up before all were looked at.")


class SimilarLine(EntryLine):
    """An entry and its similarity to the text."""

    similarity: float


class Similar(_Answer):
    """The entries nearest in meaning."""

    embedder: str
    entries: list[SimilarLine]


class Deleted(_Answer):
    """The entry is deleted."""

    deleted: str


class Invalidated(_Answer):
    """How many entries were deleted, or with `dry_run` would be."""

    count: int
    dry_run: bool


class Scope(_Answer):
    """The entries of one scope."""

    namespace: str
    function: str
    model: str
    scope: str
    entries: int
    hits: int
    saved_usd: Number


class LiveScope(_Answer):
    """The calls of one scope."""

    namespace: str
    scope: str
    requests: int
    hits: int
    saved_usd: Number


class Scopes(_Live):
    """Who asks: scopes by their entries, and by the calls that this process has seen."""

    scopes: list[Scope]
    total: int
    complete: bool
    calls: list[LiveScope]


class Changeable(_Answer):
    """Settings that can change."""

    similarity: float
    ttl: float | str | None


class Settings(_Answer):
    """The settings of a cache: as they are, and as it was made."""

    name: str
    namespace: str
    backend: int
    enabled: bool
    mode: str
    current: Changeable
    configured: Changeable
    changed_at: Number
    changed_by: str | None
    shared: bool = Field(description="False: the backend keeps no such change, so it is of this process alone.")
    changeable: list[str]
    max_error: Number
    max_error_per_hit: Number
    guards: list[str]
    categories: dict[str, dict[str, Any]]


class Caches(_Answer):
    """The caches in use in this process."""

    worker: str
    caches: list[Settings]


class Reported(_Answer):
    """What a report has done: ``evicted``, ``aliased``, ``counted``, ``gone`` or ``replaced``."""

    outcome: Literal["evicted", "aliased", "counted", "gone", "replaced"]
    key: str
    namespace: str | None


class AuditRecord(_Answer):
    """Who changed what."""

    at: float
    who: str
    action: str
    target: str
    old: Any
    new: Any
    worker: str


class Audit(_Answer):
    """The last changes, newest first."""

    records: list[AuditRecord]


class Backend(_Answer):
    """What is known of a backend."""

    number: int
    url: str
    works: bool
    error: str
    read_ms: float
    breakers: dict[str, Literal["open", "closed"]]
    stats: dict[str, Any]


class Backends(_Answer):
    """The storage behind the caches."""

    worker: str
    backends: list[Backend]
