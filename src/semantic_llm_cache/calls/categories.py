"""Settings by the category of a prompt, as the option `categories` gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.arguments import check_flag, check_number, shown, unknown
from semantic_llm_cache.config import check_similarity, check_ttl

__all__ = [
    "BUILT_IN", "CUSTOM", "TIME_BOUND", "CategoryRule", "CategoryRules", "check_category",
    "check_category_option", "read_categories", "read_rule",
]  # fmt: skip

TIME_BOUND = "time-bound"
BUILT_IN = (TIME_BOUND, "code", "chat", "facts")
"""The categories that the built-in rules know."""

CUSTOM = "custom"
"""The category of a prompt for which a callable has returned settings, not a name."""

_DEFAULT = "default"
_SHORT = 300.0  # seconds that an answer to a time-bound prompt is kept at most by default
_SHARE = "a share between 0 and 1, such as 0.02"
_HELP = 'give "default", None, or settings by category, such as {"code": {"similarity": 0.97}, "chat": {"ttl": "10m"}}'


class CategoryRule:
    """The settings of one category.

    Attributes:
        changes: those of `similarity`, `ttl` and `enabled` that the category has of its own.
        at_most: the longest TTL in seconds; None for no limit.
        max_error: the category's own error budget; None: it has a share in that of the cache.
    """

    __slots__ = ("at_most", "changes", "max_error")

    def __init__(
        self, changes: Mapping[str, Any] | None = None, at_most: float | None = None, max_error: float | None = None
    ) -> None:
        self.changes: Mapping[str, Any] = changes or {}
        self.at_most = at_most
        self.max_error = max_error


class CategoryRules(dict[str, CategoryRule]):
    """The rules by category: a value of `categories` that has been read."""


def _share(value: Any, name: str) -> float:
    share = check_number(value, name, _SHARE, above=0)
    if share >= 1:
        raise ValueError(f"{name}={shown(value)} must be {_SHARE}")
    return share


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "similarity": check_similarity,
    "ttl": check_ttl,
    "max_error": _share,
    "enabled": check_flag,
}


def read_categories(value: Any, name: str = "categories") -> CategoryRules:
    """Return the rules that a user gave.

    Args:
        value: ``"default"``: answers to time-bound prompts are kept for five minutes at most; None: no rules; or a
            mapping of categories to settings, which is added to the default. A category with None has no rule.
        name: the argument, for the message.

    Raises:
        TypeError, ValueError: a category or a setting cannot be used; the message names it.

    Example:
        >>> read_categories({"chat": {"ttl": "10m"}})["chat"].changes
        {'ttl': 600.0}
    """
    if isinstance(value, CategoryRules):
        return value
    if value is None:
        return CategoryRules()
    rules = CategoryRules({TIME_BOUND: CategoryRule(at_most=_SHORT)})
    if isinstance(value, str) and value == _DEFAULT:
        return rules
    if not isinstance(value, Mapping):
        raise (ValueError if isinstance(value, str) else TypeError)(f"{name}={shown(value)}: {_HELP}")
    for category, settings in value.items():
        _check_name(category, name)
        if settings is None:
            rules.pop(category, None)
        else:
            rules[category] = read_rule(settings, f"{name}[{category!r}]")
    return rules


def _check_name(category: Any, name: str) -> None:
    check_category(category, f"{name}: the category ")
    if category in BUILT_IN:
        return
    import difflib  # only for the message

    close = difflib.get_close_matches(category.lower(), BUILT_IN, 1, 0.85)
    if close:
        raise ValueError(f"{name} has {category!r}: did you mean {close[0]!r}? The built-in ones are {BUILT_IN}")


def read_rule(settings: Any, name: str) -> CategoryRule:
    """Return the rule of one category. Raises TypeError or ValueError, as `read_categories` does."""
    if not isinstance(settings, Mapping):
        raise TypeError(f"{name}={shown(settings)} must be a mapping of settings, or None for no rule: {_HELP}")
    changes = {}
    for key, value in settings.items():
        if key not in _CHECKS:
            raise TypeError(f"{name}: {unknown('setting', key, _CHECKS)}")
        try:
            changes[key] = _CHECKS[key](value, key)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from None
    return CategoryRule(changes, max_error=changes.pop("max_error", None))


def check_category(value: Any, name: str = "category") -> str:
    """Return the name of a category; TypeError or ValueError when it is none."""
    label = f"{name}{value!r}" if name.endswith(" ") else f"{name}={shown(value)}"
    if not isinstance(value, str):
        raise TypeError(f"{label} must be a name")
    if not value:
        raise ValueError(f"{label} must not be empty")
    return value


def check_category_option(value: Any, name: str = "category") -> Any:
    """Return the option `category`: None, a name, or a plain callable of the prompt."""
    if value is None:
        return None
    if not callable(value):
        if not isinstance(value, str):
            raise TypeError(f"{name}={shown(value)} must be a name, or a callable that returns one for a prompt")
        return check_category(value, name)
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):
        raise TypeError(f"{name}={shown(value)} must be a plain function of the prompt, not an async one")
    return value
