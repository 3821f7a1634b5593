"""The options, each defined once: its default, its check, and a one-line description.

The decorator, the engine, the doors, `derive` and ``docs/options.md`` take theirs from here.
"""

# ruff: noqa: RUF009 - `_option` calls `field`

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from semantic_llm_cache.arguments import (
    SYNONYMS,
    check_callable,
    check_count,
    check_flag,
    check_number,
    check_plain,
    check_tags,
    shown,
    unknown,
)
from semantic_llm_cache.calls.categories import CategoryRules, check_category_option, read_categories
from semantic_llm_cache.calls.evidence import Evidence, read_dependencies
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.config import TTL, TTLFunction, check_similarity, check_ttl, parse_ttl
from semantic_llm_cache.matching.decider import DEFAULT_GUARDS
from semantic_llm_cache.metrics.pricing import Price, make_price
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import KEY_VARIABLE, encrypted_backend, read_encryption_keys, shared_backend

if TYPE_CHECKING:
    from semantic_llm_cache.keys.template import PromptTemplate

__all__ = [
    "DOCUMENTED", "ENGINE_OPTIONS", "FUNCTION_OPTIONS", "Mode", "OnError", "Option", "Options", "SingleFlight",
    "VerifyMode", "refuse_unknown",
]  # fmt: skip

Mode = Literal["serve", "shadow"]
OnError = Literal["open", "raise"]
SingleFlight = Literal["process", "shared"]
VerifyMode = Literal["inline", "background"]

Check = Callable[[Any, str], Any]
"""Takes a value and the option's name; returns the value to keep, or raises TypeError or ValueError."""


# ------------------------------------------------------------------------------ checks


def _judge_error(value: Any, name: str) -> Any:
    if value is not None:
        from semantic_llm_cache.matching.online.labels import parse_judge_error

        parse_judge_error(value)
    return value


def _noise(value: Any, name: str) -> Any:
    if value is not None:
        from semantic_llm_cache.matching.online.noise import parse_noise

        return parse_noise(value)
    return None


def _judge(value: Any, name: str) -> Any:
    if isinstance(value, str):
        raise TypeError(
            f"{name}={shown(value)} must be callable. For a model pass {name}=ModelJudge(client, model=...); "
            'the word "model" is for CachedLLM and for cached models of LangChain and pydantic-ai: they know theirs'
        )
    return check_callable(value, name)


def _as_it_is(value: Any, name: str) -> Any:
    return value


def _backend(value: StorageBackend | str | None, name: str) -> StorageBackend | None:
    return None if value is None else shared_backend(value, name)


def _encryption_key(value: Any, name: str) -> Any:
    return None if value is None else read_encryption_keys(value, name)


def _namespace(value: str, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)} must be a string")
    if not value:
        raise ValueError(f"{name}='' must be a non-empty string")
    return value


def _tags_or_callable(value: Any, name: str) -> Any:
    return _plain(value, name) if callable(value) else check_tags(value, name)


def _names_or_callable(value: Any, name: str) -> Any:
    return _plain(value, name) if callable(value) else read_dependencies(value, name)


def _plain(function: Any, name: str) -> Any:
    """Return a callable of the call's arguments, which must be no async one."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):
        raise TypeError(f"{name}={shown(function)} must be a plain function of the call's arguments, not an async one")
    return function


def _fraction(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={shown(value)} must be a number from 0 to 1, such as 0.1")
    if not 0 <= value <= 1:  # also refuses NaN
        raise ValueError(f"{name}={shown(value)} must lie from 0 to 1, such as 0.1 for 10 %")
    return float(value)


def _one_of(words: Any) -> Check:
    allowed = get_args(words)

    def check(value: str, name: str) -> str:
        if value not in allowed:
            raise ValueError(f"{name}={shown(value)} must be {' or '.join(map(repr, allowed))}")
        return value

    return check


def _share(value: float | None, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={shown(value)} must be a share between 0 and 1, such as 0.02")
    if not 0 < value < 1:
        raise ValueError(f"{name}={shown(value)} must lie between 0 and 1, such as 0.02 for 2 %")
    return value


def _band(value: Any, name: str) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}={shown(value)} must be a pair of similarities, such as (0.80, 0.95)")
    low, high = (check_similarity(part, name) for part in value)
    if low >= high:
        raise ValueError(f"{name}={shown(value)} must go from the lower to the higher similarity")
    return low, high


def _span(value: TTL, name: str) -> float | None:
    seconds = parse_ttl(value, name)
    if seconds == 0:
        raise ValueError(f"{name}={shown(value)} must be more than zero, or None to turn it off")
    return seconds


def _timeout(value: float | None, name: str) -> float | None:
    if value is None or (isinstance(value, float) and value == math.inf):
        return value
    return check_number(value, name, "more than zero seconds, or None for no limit", above=0)


def _price(value: Price, name: str) -> Price:
    make_price(value)
    if callable(value):
        check_plain(value, name)
    return value


def _characters(value: int, name: str) -> int:
    return check_count(value, name, "a number of characters")


def _version(value: str | int | None, name: str) -> str | int | None:
    if value is not None and not isinstance(value, (str, int)):
        raise TypeError(f"{name}={shown(value)} must be a string or a number")
    return value


def _template(value: Any, name: str) -> Any:
    if value is not None:
        from semantic_llm_cache.keys.template import PromptTemplate

        PromptTemplate(value)
    return value


def _slot_names(value: Any, name: str) -> tuple[str, ...]:
    return check_tags(value, name)


def _delay(value: float | None, name: str) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise TypeError(f"{name}={shown(value)} must be seconds between chunks, or None")
    if value is not None and value < 0:
        raise ValueError(f"{name}={shown(value)} must not be negative")
    return value


# ------------------------------------------------------------------------------ the table


class Option:
    """One option.

    Attributes:
        default: as the signatures have it.
        check: see `Check`.
        doc: its description, in one line of Markdown.
    """

    __slots__ = ("check", "default", "doc")

    def __init__(self, default: Any, check: Check, doc: str) -> None:
        self.default = default
        self.check = check
        self.doc = doc


def _option(default: Any, check: Check, doc: str) -> Any:
    return field(default=default, metadata={"option": Option(default, check, doc)})


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Options:
    """The checked options of an engine. `read` makes them; `changed` returns a changed copy."""

    backend: StorageBackend | None = _option(
        None, _backend, "A `StorageBackend` or URL: `memory://`, `sqlite:///cache.db`; None is the process's default."
    )
    encryption_key: Any = _option(
        None,
        _encryption_key,
        "32 random bytes as hex or base64, or several: what is stored is encrypted with the first.",
    )
    embedder: Any = _option(
        None, _as_it_is, 'An `EmbeddingProvider`, a name such as `"onnx"`, or a callable; None is `"auto"`.'
    )
    similarity: float = _option(
        1.0, check_similarity, "Cosine from 0 to 1 at which a near prompt counts as the same; 1 means equal text only."
    )
    ttl: float | TTLFunction | None = _option(
        3600,
        check_ttl,
        'How long an answer is served: seconds, a timedelta, `"1h30m"`; 0 stores nothing, None means for ever; or a '
        "callable of answer and `Request` that returns one of these.",
    )
    namespace: str = _option(
        "default", _namespace, "Groups entries. Functions that name the same one, except `default`, share answers."
    )
    enabled: bool = _option(True, check_flag, "False lets every call through.")
    guards: Any = _option(
        DEFAULT_GUARDS, _as_it_is, "Rules that find differences which cosine misses: names, callables, or None."
    )
    verify: Any = _option(None, _judge, "A callable or `ModelJudge` that is asked about near candidates.")
    verify_band: tuple[float, float] | None = _option(
        None, _band, "Ask `verify` only between these two similarities; refuse below, accept above."
    )
    verify_mode: VerifyMode = _option(
        "inline", _one_of(VerifyMode), '`"inline"`, or `"background"` to ask after the call.'
    )
    max_error: float | None = _option(None, _share, "Upper bound on the share of all requests answered wrongly.")
    max_error_per_hit: float | None = _option(None, _share, "Upper bound on the share of hits that are wrong.")
    same_answer: Any = _option(
        None, _judge, "What compares two answers: an `AnswerJudge`, a `ModelJudge`, or a callable; None is the default."
    )
    judge_error: Any = _option(
        None, _judge_error, "How often `same_answer` errs: a share, or a pair; None takes what was measured."
    )
    noise: float | Literal["measure"] | None = _option(
        None,
        _noise,
        'How often two fresh answers to one prompt differ: a share; `"measure"` makes some calls twice; None is 0.',
    )
    seed: int | None = _option(None, _as_it_is, "Makes the random draws of the error budget repeatable.")
    mode: Mode = _option(
        "serve",
        _one_of(Mode),
        '`"serve"`, or `"shadow"`: always call, and record what would have been served.',
    )
    stale_while_revalidate: float | None = _option(
        None, _span, "How long past its TTL an answer is served while a fresh one is fetched."
    )
    stale_if_error: float | None = _option(
        None, _span, "How long past its TTL an answer is served when the call fails."
    )
    jitter: float = _option(0.0, _fraction, "Largest share of the TTL, up to 1, by which it is shortened at random.")
    single_flight: SingleFlight = _option(
        "process", _one_of(SingleFlight), 'Who shares one call: `"process"`, or `"shared"` for all processes.'
    )
    on_event: Callable[[Lookup], object] | None = _option(None, check_plain, "Called with the `Lookup` of every call.")
    on_error: OnError = _option(
        "open", _one_of(OnError), '`"open"`: a failing cache costs only the saving; `"raise"`: it raises.'
    )
    timeout: float | None = _option(
        1.0, _timeout, "Seconds that each storage operation or embedding may take; None means no limit."
    )
    clock: Callable[[], float] | None = _option(None, check_plain, "Wall time in seconds, for tests.")
    tags: tuple[str, ...] = _option((), check_tags, "Labels of the stored entries, for `invalidate(tags=...)`.")
    depends_on: Mapping[str, str | None] = _option(
        (), read_dependencies, "What answers rest on: names with versions, or names; no hit once a version differs."
    )
    version_of: Callable[[str], Any] | None = _option(
        None, check_callable, "Returns the present version of a name that an answer rests on; None if it is gone."
    )
    evidence_overlap: float = _option(
        0.0, _fraction, "Least share of names in `depends_on` that a stored answer must have in common with the call."
    )
    category: Any = _option(
        None, check_category_option, "The category of all prompts, or a callable from a prompt to its category."
    )
    categories: Any = _option(
        "default",
        read_categories,
        'Settings by category: `{"code": {"similarity": 0.97}, "chat": {"ttl": "10m"}}`. `"default"`: answers to '
        "time-bound prompts are kept for 5 minutes at most; None: no rules.",
    )
    prompt_template: str | re.Pattern[str] | None = _option(
        None, _template, "A format string or regex that prompts are made from: only its slots are compared by meaning."
    )
    exact_slots: tuple[str, ...] = _option((), _slot_names, "Slots of `prompt_template` that must be equal.")
    redact: Callable[[str], str | None] | None = _option(
        None, check_plain, "Called with a prompt; returns what is stored in its place, or None to store nothing."
    )
    cache_if: Callable[[Any], bool] | None = _option(
        None, check_plain, "Called with a fresh answer; False keeps it out of the cache."
    )
    price: Price = _option(None, _price, "`CacheConfig` with rates, or a callable from tokens and answer to USD.")
    max_prompt: int = _option(1_000_000, _characters, "Longest prompt that is stored, in characters.")
    max_response: int = _option(
        20_000_000, _characters, "Longest answer that is stored, in characters of its stored form."
    )

    def __post_init__(self) -> None:
        if self.encryption_key is not None:
            if self.backend is None:
                raise ValueError(
                    f"encryption_key= needs backend=; for the default backend of the process set {KEY_VARIABLE}"
                )
            self.backend = encrypted_backend(self.backend, self.encryption_key, "encryption_key")

    @classmethod
    def read(cls, given: Mapping[str, Any], also: Iterable[str] = ()) -> Options:
        """Return the given options, checked; the others have their defaults.

        Args:
            given: the options by name.
            also: further names that the caller accepts, for the message about an unknown one.

        Raises:
            ValueError, TypeError: an option is not valid; the message names it.
        """
        return cls(**_checked(given, also))

    def changed(self, given: Mapping[str, Any], also: Iterable[str] = ()) -> Options:
        """Return these options with some changed. Takes and raises what `read` does."""
        return replace(self, **_checked(given, also)) if given else self

    @property
    def category_rules(self) -> CategoryRules:
        """The settings by category."""
        return read_categories(self.categories)

    @property
    def evidence(self) -> Evidence | None:
        """What every answer rests on, and how it is checked; None if none of the three options is given."""
        if not self.depends_on and self.version_of is None and not self.evidence_overlap:
            return None
        return Evidence(dict(self.depends_on), self.version_of, self.evidence_overlap)

    @property
    def template(self) -> PromptTemplate | None:
        """How prompts are taken apart; None if they are not. Raises ValueError if the two options do not fit."""
        if self.prompt_template is not None:
            from semantic_llm_cache.keys.template import PromptTemplate

            return PromptTemplate(self.prompt_template, self.exact_slots)
        if self.exact_slots:
            raise ValueError("exact_slots= names slots of prompt_template=, which is not given")
        return None

    @property
    def stale_window(self) -> float:
        """How many seconds past its TTL an answer is kept."""
        return max(self.stale_while_revalidate or 0.0, self.stale_if_error or 0.0)


ENGINE_OPTIONS: dict[str, Option] = {part.name: part.metadata["option"] for part in fields(Options)}
"""The options of an engine: what `SemanticCache` takes."""

FUNCTION_OPTIONS: dict[str, Option] = {
    "prompt": Option(None, _as_it_is, "The parameter that holds the prompt; None finds it automatically."),
    "ignore": Option((), _as_it_is, "Parameters and closed-over variables that do not matter for the answer."),
    "scope": Option(None, _as_it_is, "What else must be equal: a mapping, or a callable that returns one."),
    "version": Option(None, _version, "Change it, for example with the prompt template, to stop using old entries."),
    "normalizer": Option(None, check_plain, "Applied to the text before both tiers."),
    "key_func": Option(None, check_plain, "Called with the function's arguments, returns the exact key."),
    "result_type": Option(None, _as_it_is, "The type that answers are rebuilt to; None takes the return annotation."),
    "replay_delay": Option(None, _delay, "For generators: seconds between the chunks of a hit; None means no delay."),
    "depends_on": Option((), _names_or_callable, "As above, or a callable that makes it from the call's arguments."),
    "tags": Option((), _tags_or_callable, "Labels, or a callable that makes them from the call's arguments."),
}
"""The options that only a decorated function has. Its `tags` and `depends_on` may also be callables."""

DOCUMENTED: dict[str, dict[str, Option]] = {
    "Options of the cache": ENGINE_OPTIONS,
    "Options of a decorated function": FUNCTION_OPTIONS,
}
"""The tables of ``docs/options.md``."""


def _checked(given: Mapping[str, Any], also: Iterable[str]) -> dict[str, Any]:
    if not ENGINE_OPTIONS.keys() >= given.keys():
        refuse_unknown(given, (*also, *ENGINE_OPTIONS))
    return {name: ENGINE_OPTIONS[name].check(value, name) for name, value in given.items()}


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError for the first unknown name; the message gives the nearest name and lists all.

    Example:
        >>> refuse_unknown(["similarty"], ["similarity", "ttl"])
        Traceback (most recent call last):
        TypeError: unknown option 'similarty': did you mean 'similarity'? Known options: similarity, ttl
    """
    names = list(dict.fromkeys(known))
    for name in given:
        if name == "judge" and "same_answer" in names:
            raise TypeError("unknown option 'judge': pass the judge of answers as same_answer=, of prompts as verify=")
        if name not in names:
            raise TypeError(unknown("option", name, names, SYNONYMS))
