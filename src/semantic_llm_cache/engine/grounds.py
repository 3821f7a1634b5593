"""Checks that what a stored answer rests on has not changed."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from semantic_llm_cache.calls.evidence import Evidence, evidence_of, version_text
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.awaiting import limited

__all__ = ["Grounds"]


class Grounds:
    """Compares what entries rest on with the present state.

    Args:
        notices: logs a `version_of` that fails.
        timeout: seconds that each name may take; None means no limit.
    """

    def __init__(self, notices: Notices, timeout: float | None = None) -> None:
        self._notices, self._timeout = notices, timeout

    async def resolve(self, call: Call) -> None:
        """Ask for the versions that the call did not give, so that they are those from before the function runs."""
        evidence = call.settings.evidence
        names = evidence.unversioned if evidence is not None else []
        if evidence is None or not names:
            return
        found = await self._ask(evidence, names)
        known = {name: version for name, version in found.items() if version is not None}
        if known:
            call.settings = replace(call.settings, evidence=evidence.with_learned(known))

    async def objection(self, entry: CacheEntry, call: Call, asked: dict[str, str | None]) -> str | None:
        """Return why an entry's answer no longer holds for this call, or None.

        Args:
            entry: the entry.
            call: the call.
            asked: name -> present version, of names asked for before in this search; it is added to.
        """
        evidence = call.settings.evidence
        if evidence is None:
            return None
        stored = evidence_of(entry.tags)
        if evidence.overlap and (reason := _too_little(evidence, stored)) is not None:
            return reason
        present = {
            name: version for name, version in evidence.versions.items() if version is not None and name in stored
        }
        if evidence.version_of is not None:
            names = [name for name in stored if name not in present]
            asked.update(await self._ask(evidence, [name for name in names if name not in asked]))
            for name in names:
                version = asked[name]
                if version is None:
                    return f"rests on {name}, which is gone or cannot be checked"
                present[name] = version
        for name, version in present.items():
            if stored[name] is None:
                return f"rests on {name}, of which the version was not known"
            if stored[name] != version:
                return f"rests on {name}, which has changed"
        return None

    async def _ask(self, evidence: Evidence, names: list[str]) -> dict[str, str | None]:
        """Return the present versions. A name whose version cannot be learned counts as gone."""
        version_of = evidence.version_of
        if not names or version_of is None:
            return {}
        try:
            values = await limited(_values(version_of, names), self._timeout and self._timeout * len(names))
            return {name: version_text(value) for name, value in zip(names, values, strict=True)}
        except Exception as error:
            self._notices.log_once("version_of", f"version_of failed ({describe(error)}): its answers are not served")
            return dict.fromkeys(names)


async def _values(version_of: Callable[[str], Any], names: list[str]) -> list[Any]:
    if inspect.iscoroutinefunction(version_of):
        return [await version_of(name) for name in names]
    # It may read a database. Off the loop, in one go.
    values = await asyncio.to_thread(lambda: [version_of(name) for name in names])
    return [await value if inspect.isawaitable(value) else value for value in values]


def _too_little(evidence: Evidence, stored: Mapping[str, str | None]) -> str | None:
    """Return why an entry rests on too few of the things that the call rests on, or None."""
    together = stored.keys() | evidence.versions.keys()
    if not together:
        return None
    share = len(stored.keys() & evidence.versions.keys()) / len(together)
    if share >= evidence.overlap:
        return None
    return f"rests on other documents: overlap {share:.2f} < {evidence.overlap:.2f}"
