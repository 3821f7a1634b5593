"""One JSON event for each call, in a log.

from semantic_llm_cache.telemetry import events
events.log_lookups()
"""

from __future__ import annotations

import json
import logging
import weakref
from typing import Any

from semantic_llm_cache.arguments import kind_of
from semantic_llm_cache.engine.listening import Audience, Event, Listener
from semantic_llm_cache.telemetry.attaching import Attachment, attach
from semantic_llm_cache.telemetry.table import PHASES

__all__ = ["LOGGER", "NAME", "log_lookups"]

LOGGER = "semantic_llm_cache.lookups"
NAME = "semantic_llm_cache.lookup"
"""The name of the event."""


def log_lookups(
    logger: Any = None, *, cache: Any = None, prompts: bool = False, level: int = logging.INFO
) -> Attachment:
    """Log one event for each call: see ``docs/metrics.md`` for its fields.

    Args:
        logger: a logger of the standard library gets a JSON document as message, and the fields as ``record.lookup``.
            Any other, such as one of structlog, is called as ``logger.info("semantic_llm_cache.lookup", **fields)``.
            None means the logger ``semantic_llm_cache.lookups``.
        cache: a `SemanticCache`, with all that is derived from it; None means all caches of the process, also those
            made later.
        prompts: True adds the prompts, and the reason, which may quote them. Answers are never logged.
        level: the level of the events, as in `logging`.

    Returns:
        An `Attachment`: ``close()`` ends it. A second call with the same logger and cache returns the same one, and
        leaves `prompts` and `level` as they are.

    Raises:
        TypeError: `cache` is no cache, or `logger` no logger.

    Example:
        >>> from semantic_llm_cache import SemanticCache
        >>> log_lookups(cache=SemanticCache("memory://")).close()
    """
    if logger is None:
        logger = logging.getLogger(LOGGER)
    if not callable(getattr(logger, "info", None)):
        raise TypeError(f"logger= must be a logger of logging or structlog, not {kind_of(logger)}")
    for writer in list(_writers):
        if writer.logger is logger and any(one.open for one in writer.attached.values()):
            return attach(writer, cache, writer.attached, lambda: None)
    writer = Writer(logger, prompts, level)
    attachment = attach(writer, cache, writer.attached, lambda: None)
    _writers.add(writer)
    return attachment


class Writer(Listener):
    """Writes calls to one logger.

    Args:
        logger: where to.
        prompts: whether with prompts.
        level: as in `logging`.
    """

    def __init__(self, logger: Any, prompts: bool, level: int) -> None:
        self.logger = logger
        self.attached: weakref.WeakKeyDictionary[Audience, Attachment] = weakref.WeakKeyDictionary()
        self._prompts = prompts
        self._level = level
        self._standard = isinstance(logger, (logging.Logger, logging.LoggerAdapter))
        self._method = {10: "debug", 30: "warning", 40: "error", 50: "critical"}.get(level, "info")

    def ended(self, event: Event) -> None:
        """Write a call."""
        if not self._standard:
            getattr(self.logger, self._method)(NAME, **fields_of(event, self._prompts))
        elif self.logger.isEnabledFor(self._level):
            fields = fields_of(event, self._prompts)
            # ASCII: a lone surrogate in a prompt could not be written to a file.
            text = json.dumps({"event": NAME, **fields}, default=str)
            self.logger.log(self._level, "%s", text, extra={"lookup": fields})


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def fields_of(event: Event, prompts: bool) -> dict[str, Any]:
    """Return the fields of a call's event; what does not apply is left out."""
    lookup = event.lookup
    found: dict[str, Any] = {
        "outcome": lookup.outcome,
        "tier": lookup.tier,
        "namespace": lookup.namespace,
        "category": lookup.category,
        "id": lookup.id,
        "similarity": _rounded(lookup.similarity, 6),
        "age_s": _rounded(lookup.age, 3),
        "duration_ms": _rounded(lookup.duration_ms, 4),
        "would": lookup.would,
        "would_be_right": lookup.would_be_right,
    }
    if lookup.hit:
        found |= {
            "saved_ms": _rounded(lookup.saved_ms, 3),
            "saved_usd": lookup.saved_usd,
            "saved_input_tokens": event.tokens[0],
            "saved_output_tokens": event.tokens[1],
        }
    else:
        found |= {"stored": lookup.stored, "stored_reason": lookup.stored_reason or None}
    for name in PHASES:
        times = [phase.end - phase.start for phase in event.phases if phase.name == name]
        if times:
            found[f"{name}_ms"] = _rounded(sum(times) * 1000, 4)
    if prompts:
        found |= {"prompt": lookup.prompt, "matched_prompt": lookup.matched_prompt, "reason": lookup.reason}
    return {name: value for name, value in found.items() if value is not None}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
