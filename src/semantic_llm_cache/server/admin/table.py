"""The table of operations: a new one is one more line."""

from __future__ import annotations

from semantic_llm_cache.server.admin import answers, handlers, requests
from semantic_llm_cache.server.admin.operations import Operation

__all__ = ["OPERATIONS", "PREFIX"]

PREFIX = "/admin"

OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/health", handlers.health, answers.Health, "Whether the process answers.", public=True),
    Operation(
        "GET", "/ready", handlers.ready, answers.Ready, "Whether requests can be served.", public=True, errors=(503,)
    ),
    Operation("GET", "/backends", handlers.backends, answers.Backends, "The health of each backend."),
    Operation(
        "GET", "/stats", handlers.stats, answers.Stats, "Hits, misses and savings.", requests.NamespaceQuery,
    ),
    Operation("GET", "/traffic", handlers.traffic, answers.Traffic, "Calls over time.", requests.TrafficQuery),
    Operation(
        "GET", "/similarities", handlers.similarities, answers.Histogram, "How many calls met which similarity.",
        requests.HistogramQuery,
    ),
    Operation(
        "GET", "/what-if", handlers.what_if, answers.WhatIf, "What another threshold would have changed.",
        requests.WhatIfQuery,
    ),
    Operation("GET", "/lookups", handlers.lookups, answers.Lookups, "The last calls.", requests.LookupsQuery),
    Operation("GET", "/near-hits", handlers.near_hits, answers.Near, "The last near hits.", requests.LimitQuery),
    Operation(
        "GET", "/near-misses", handlers.near_misses, answers.Near, "The last misses that had a stored prompt near.",
        requests.NearMissQuery,
    ),
    Operation(
        "GET", "/not-stored", handlers.not_stored, answers.NotStored, "Why answers were not stored.",
        requests.NamespaceQuery,
    ),
    Operation("GET", "/scopes", handlers.scopes, answers.Scopes, "Who asks, as hashes.", requests.ScopesQuery),
    Operation(
        "GET", "/entries", handlers.list_entries, answers.Entries, "Stored answers, by text, tag or model.",
        requests.EntriesQuery, errors=(404,),
    ),
    Operation(
        "POST", "/entries/search", handlers.search_entries, answers.Similar, "Stored answers near in meaning.",
        body=requests.SearchBody, errors=(404, 409),
    ),
    Operation(
        "GET", "/entries/{key}", handlers.show_entry, answers.Entry, "A stored answer in full.",
        requests.BackendQuery, errors=(404,),
    ),
    Operation(
        "DELETE", "/entries/{key}", handlers.delete_entry, answers.Deleted, "Delete a stored answer.",
        requests.BackendQuery, errors=(404,),
    ),
    Operation(
        "POST", "/invalidate", handlers.invalidate, answers.Invalidated,
        "Delete all stored answers that meet all conditions given; by default only count them.",
        body=requests.InvalidateBody, errors=(404, 409),
    ),
    Operation(
        "GET", "/export", handlers.export, None, "All stored answers, one in a line.", requests.ExportQuery,
        errors=(404,),
    ),
    Operation("GET", "/settings", handlers.settings, answers.Caches, "Thresholds and TTLs of the caches in use."),
    Operation(
        "PATCH", "/settings/{name}", handlers.change_settings, answers.Settings,
        "Change the threshold or the TTL of a cache in use, in all processes on its backend.",
        body=requests.SettingsBody, errors=(404, 409),
    ),
    Operation(
        "POST", "/reports", handlers.report, answers.Reported, "Report that an answer was wrong or right.",
        body=requests.ReportBody, errors=(404,),
    ),
    Operation("GET", "/audit", handlers.audit, answers.Audit, "Who changed what.", requests.AuditQuery),
)  # fmt: skip
