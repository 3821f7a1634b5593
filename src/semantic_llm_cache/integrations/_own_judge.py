"""The word ``"model"`` in `same_answer` and `verify`: the model that a door wraps judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.engine.engine import Engine

__all__ = ["with_own_judge"]


def with_own_judge(
    options: Mapping[str, Any], cache: Engine | None, ask: Callable[[str], Any], name: Callable[[], str]
) -> dict[str, Any]:
    """Return the options of a door with a `ModelJudge` in place of the word ``"model"``.

    Args:
        options: as given to the door.
        cache: the engine given to the door; its backend keeps the verdicts if the options name none.
        ask: sync or async, from a prompt to the text of the model's reply, past the door's own cache.
        name: returns what the model's verdicts are stored under.
    """
    changed = dict(options)
    named = [option for option in ("same_answer", "verify") if isinstance(options.get(option), str)]
    if any(options[option] == "model" for option in named):
        from semantic_llm_cache.doors.judge import ModelJudge

        kept = None if cache is None else cache.options.backend
        judge = ModelJudge(ask, name(), backend=options.get("backend") or kept)
        changed.update({option: judge for option in named if options[option] == "model"})
    return changed
