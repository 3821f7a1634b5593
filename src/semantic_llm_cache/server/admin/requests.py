"""What the admin API takes: the parameters and bodies of its requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "AuditQuery", "BackendQuery", "EntriesQuery", "ExportQuery", "HistogramQuery", "InvalidateBody", "LimitQuery",
    "LookupsQuery", "NamespaceQuery", "NearMissQuery", "ReportBody", "ScopesQuery", "SearchBody", "SettingsBody",
    "TrafficQuery", "WhatIfQuery",
]  # fmt: skip


def _whole(value: Any) -> Any:
    # In JSON, 5.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_default(schema: dict[str, Any]) -> None:
    # What is left out is left as it is.
    schema.pop("default", None)


Text = Annotated[str, Field(min_length=1, max_length=1000)]
Namespace = Annotated[str | None, Field(max_length=1000, description="Only this namespace.")]
Backend = Annotated[
    Annotated[int, Field(ge=0, le=1000), BeforeValidator(_whole)] | None,
    Field(description="Only the backend with this number."),
]
Limit = Annotated[int, Field(ge=1, le=200, description="Most items to return.")]
MOST_ENTRIES = 1000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NamespaceQuery(_Request):
    """Which namespace."""

    namespace: Namespace = None


class LimitQuery(NamespaceQuery):
    """How many, of which namespace."""

    limit: Limit = 50


class BackendQuery(_Request):
    """Which backend."""

    backend: Backend = None


class TrafficQuery(NamespaceQuery):
    """How far back, in which steps."""

    minutes: Annotated[int, Field(ge=1, le=1440, description="How far to go back.")] = 60
    step: Annotated[int, Field(ge=1, le=240, description="Minutes in one point.")] = 1


class HistogramQuery(NamespaceQuery):
    """How fine."""

    bins: Annotated[int, Field(ge=1, le=1000, description="Bins from 0 to 1.")] = 100


class WhatIfQuery(NamespaceQuery):
    """Which threshold."""

    similarity: Annotated[float, Field(ge=0, le=1, description="The threshold to try.")]


class LookupsQuery(NamespaceQuery):
    """Calls after which one."""

    after: Annotated[int, Field(ge=0, le=2**53, description="Only calls with a larger number.")] = 0
    limit: Limit = 100


class NearMissQuery(LimitQuery):
    """Which near misses."""

    at_least: Annotated[float, Field(ge=0, le=1, description="Only those with at least this similarity.")] = 0.0
    compare: Annotated[bool, Field(description="Compare the answers of the newest 50, where both are stored.")] = False
    worth: Annotated[bool, Field(description="Only those that a lower threshold would make hits.")] = False


class EntriesQuery(_Request):
    """Which entries, in which order."""

    q: Annotated[str | None, Field(max_length=1000, description="Text in the prompt, in any case.")] = None
    namespace: Namespace = None
    tag: Annotated[list[Text], Field(max_length=20, description="Any of these tags.")] = []
    model: Annotated[list[Text], Field(max_length=20, description="Any of these models.")] = []
    scope: Annotated[str | None, Field(max_length=64, description="The start of the scope's hash.")] = None
    sort: Annotated[
        Literal["newest", "oldest", "hits", "cost", "used"], Field(description="By what to sort, largest first.")
    ] = "newest"
    offset: Annotated[int, Field(ge=0, le=MOST_ENTRIES - 1, description="How many to skip.")] = 0
    limit: Limit = 50
    backend: Backend = None


class SearchBody(_Request):
    """What to look for."""

    text: Annotated[str, Field(min_length=1, max_length=20_000, description="What to look for, by meaning.")]
    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)] = 20
    namespace: Namespace = None
    backend: Backend = None


class InvalidateBody(_Request):
    """Which entries: those that meet all conditions given."""

    pattern: Annotated[str | None, Field(min_length=1, max_length=1000, description="Text in the prompt.")] = None
    tags: Annotated[list[Text], Field(max_length=100, description="Any of these tags.")] = []
    models: Annotated[list[Text], Field(max_length=100, description="Any of these models.")] = []
    depends_on: Annotated[list[Text], Field(max_length=100, description="Rests on any of these names.")] = []
    namespace: Namespace = None
    scope: Annotated[str | None, Field(min_length=1, max_length=64, description="The start of the scope's hash.")] = (
        None
    )
    backend: Backend = None
    dry_run: Annotated[bool, Field(description="True: only count. False: delete.")] = True


class SettingsBody(_Request):
    """What is left out stays as it is."""

    similarity: Annotated[float, Field(ge=0, le=1, description="The new threshold.", json_schema_extra=_no_default)] = (
        1.0
    )
    ttl: Annotated[
        Annotated[float, Field(ge=0, allow_inf_nan=False)] | Annotated[str, Field(max_length=40)] | None,
        Field(
            description='How long new answers are kept: seconds, "1h30m", or null for ever.',
            json_schema_extra=_no_default,
        ),
    ] = None
    reset: Annotated[
        list[Literal["similarity", "ttl"]], Field(max_length=2, description="What goes back to the configured value.")
    ] = []


class ReportBody(_Request):
    """Which answer, and what it is."""

    lookup: Annotated[
        str, Field(min_length=1, max_length=2000, description="The id of a call, or the key of an entry.")
    ]
    verdict: Literal["wrong", "right"]


class AuditQuery(_Request):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ExportQuery(NamespaceQuery):
    """What to export."""

    backend: Backend = None


class ScopesQuery(LimitQuery):
    """How many scopes."""
