"""What each operation of the admin API does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import zip_longest
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from semantic_llm_cache.management.transfer import entry_to_dict
from semantic_llm_cache.server.admin.operations import Call
from semantic_llm_cache.server.operator import whatif
from semantic_llm_cache.server.operator.agreement import agreement
from semantic_llm_cache.server.operator.entries import Conditions, Found
from semantic_llm_cache.server.operator.history import Event
from semantic_llm_cache.server.operator.views import event_view
from semantic_llm_cache.values.odd_text import portable

Answer = dict[str, Any]
_MOST_COMPARED = 50


def _live(call: Call, **more: Any) -> Answer:
    return {"worker": call.operator.worker, "hint": call.operator.hint, **more}


# ---------------------------------------------------------------------------------- health


async def health(call: Call) -> Answer:
    """Say that the process answers."""
    return {"status": "ok"}


async def ready(call: Call) -> Answer | Response:
    """Say whether requests can be served."""
    serves, whole = await call.operator.readiness()
    if not serves:
        return JSONResponse({"status": "not ready"}, 503)
    return {"status": "ready" if whole else "degraded"}


async def backends(call: Call) -> Answer:
    """Return the health of each backend."""
    return {"worker": call.operator.worker, "backends": await call.operator.health()}


# ---------------------------------------------------------------------------------- figures


async def stats(call: Call) -> Answer:
    """Return the figures."""
    return await call.operator.stats(call.query.namespace)


async def traffic(call: Call) -> Answer:
    """Return calls over time."""
    history, asked = call.operator.history, call.query
    found = await asyncio.to_thread(history.traffic, asked.minutes, asked.step, asked.namespace)
    return _live(
        call,
        since=history.since,
        minutes=asked.minutes,
        step=asked.step,
        **found,
    )


async def similarities(call: Call) -> Answer:
    """Return the histogram of similarities, and the thresholds."""
    operator, asked = call.operator, call.query
    counts = operator.history.histogram(asked.bins, asked.namespace)
    thresholds = [
        {"name": name, "namespace": engine.namespace, "similarity": engine.similarity}
        for name, engine in operator.caches.engines.items()
    ]
    return _live(call, **counts, thresholds=thresholds)


async def what_if(call: Call) -> Answer:
    """Return what another threshold would have changed."""
    return _live(call, **await call.operator.what_if(call.query.similarity, call.query.namespace))


async def lookups(call: Call) -> Answer:
    """Return the last calls."""
    history, asked = call.operator.history, call.query
    found = history.recent(asked.after, asked.limit, asked.namespace)
    return _live(call, last=history.count, lookups=[_view(call, event) for event in found])


async def near_hits(call: Call) -> Answer:
    """Return the last near hits."""
    found = call.operator.history.near_hits(call.query.limit, call.query.namespace)
    return _live(call, lookups=[{**_view(call, event), "worth": None, "agree": None} for event in found])


async def near_misses(call: Call) -> Answer:
    """Return the last near misses."""
    history, asked = call.operator.history, call.query
    found = await asyncio.to_thread(
        whatif.near_misses, history, asked.at_least, asked.limit, asked.namespace, worth=asked.worth
    )
    agreed = [await agreement(event) for event, _ in found[:_MOST_COMPARED]] if asked.compare else []
    shown = zip_longest(found, agreed[: len(found)])
    return _live(call, lookups=[{**_view(call, event), "worth": worth, "agree": one} for (event, worth), one in shown])


def _view(call: Call, event: Event) -> Answer:
    return event_view(event, call.operator.history, text=call.operator.show_text)


async def not_stored(call: Call) -> Answer:
    """Return why answers were not stored."""
    return _live(call, reasons=call.operator.history.not_stored(call.query.namespace))


async def scopes(call: Call) -> Answer:
    """Return who asks."""
    operator, asked = call.operator, call.query
    found = await operator.groups(asked.namespace, asked.limit)
    return _live(call, **found, calls=operator.history.scopes(asked.limit, asked.namespace))


# ---------------------------------------------------------------------------------- entries


async def list_entries(call: Call) -> Answer:
    """Return a page of entries."""
    asked = call.query
    conditions = Conditions(
        asked.q or None, tuple(asked.tag), tuple(asked.model), (), asked.namespace, asked.scope or None
    )
    return await call.operator.look_through(conditions, asked.sort, asked.offset, asked.limit, asked.backend)


async def search_entries(call: Call) -> Answer:
    """Return the entries nearest in meaning to a text."""
    asked = call.body
    return await call.operator.search(asked.text, asked.limit, asked.namespace, asked.backend)


async def show_entry(call: Call) -> Answer:
    """Return an entry in full."""
    return await call.operator.show(call.path["key"], call.query.backend)


async def delete_entry(call: Call) -> Answer:
    """Delete an entry."""
    await call.operator.delete(call.path["key"], call.who, call.query.backend)
    return {"deleted": call.path["key"]}


async def invalidate(call: Call) -> Answer:
    """Delete the entries that match, or count them."""
    asked = call.body
    conditions = Conditions(
        asked.pattern,
        tuple(asked.tags),
        tuple(asked.models),
        tuple(asked.depends_on),
        asked.namespace,
        asked.scope,
    )
    count = await call.operator.invalidate(conditions, call.who, dry_run=asked.dry_run, backend=asked.backend)
    return {"count": count, "dry_run": asked.dry_run}


async def export(call: Call) -> Response:
    """Return all entries, one in a line, as `import_cache` reads them."""
    found = await call.operator.export(call.query.namespace, call.who, call.query.backend)
    headers = {"content-disposition": 'attachment; filename="cache.jsonl"'}
    return StreamingResponse(_lines(found), 200, headers, "application/jsonl")


async def _lines(found: AsyncIterator[Found]) -> AsyncIterator[str]:
    async for one in found:
        yield portable(json.dumps(entry_to_dict(one.key, one.entry, for_file=True), ensure_ascii=False)) + "\n"


# ---------------------------------------------------------------------------------- changes


async def settings(call: Call) -> Answer:
    """Return the settings of all caches."""
    operator = call.operator
    return {
        "worker": operator.worker,
        "caches": [operator.settings.view(name, engine) for name, engine in operator.caches.engines.items()],
    }


async def change_settings(call: Call) -> Answer:
    """Change settings of a cache."""
    operator, asked = call.operator, call.body
    values = {name: getattr(asked, name) for name in ("similarity", "ttl") if name in asked.model_fields_set}
    change = await operator.change(call.path["name"], values, asked.reset, call.who)
    return operator.settings.view(change.name, operator.caches.engine(change.name))


async def report(call: Call) -> Answer:
    """Report that an answer was wrong or right."""
    asked = call.body
    done = await call.operator.report(asked.lookup, right=asked.verdict == "right", who=call.who)
    return done._asdict()


async def audit(call: Call) -> Answer:
    """Return the last changes."""
    return {"records": [record._asdict() for record in await call.operator.audit_log(call.query.limit)]}
