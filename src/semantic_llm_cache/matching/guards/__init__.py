"""Guards: rules that refuse a near match because the two prompts ask different things.

Cosine similarity hardly notices a number, a negation or two names that changed places. A guard compares the
new prompt with the stored one and returns why they differ, or None. All rules are on by default;
`resolve_guards` selects others.

| rule | refuses when | example of a reason |
|---|---|---|
| `coverage` | a language or script without word lists | `no guards for Hindi` |
| `numbers` | quantities differ, in digits or words, units counted in | `number 5 miles != 6 miles` |
| `versions` | version numbers differ (3.1 is not 3.10) | `version 3.9 != 3.10` |
| `units` | units without a number differ | `unit miles != feet` |
| `times` | days, months, clock times, zones, last/next | `time tomorrow != yesterday` |
| `periods` | how often: per month, yearly | `period month != year` |
| `labels` | a letter, roman numeral, formula or suffix | `label vitamin C != vitamin D` |
| `identifiers` | snake_case, CamelCase, ORD-1234, hex | `identifier ORD-1 != ORD-2` |
| `urls` | URLs, e-mail addresses, paths, file names | `address a.com/x != a.com/y` |
| `flags` | command-line flags | `flag --hard != --soft` |
| `quotes` | quoted strings, both prompts having some | `quote "yes" != "no"` |
| `code` | code spans and calls | `code range(10) != range(11)` |
| `operators` | expressions, and/or, joins, SQL keywords | `operator a-b != b-a` |
| `emoji` | emoji | `emoji 🎉 != 😡` |
| `accents` | an accent that makes another word | `accents año != ano` |
| `case` | a capital that makes another word | `case IT != it` |
| `negation` | one prompt negates, the other does not | `negation "not" not in the stored prompt` |
| `antonyms` | opposites, un-/in-/dis- prefixes included | `opposites safe != unsafe` |
| `direction` | more/less, before/after, to/from, unless, except | `direction to paris != from paris` |
| `quantifiers` | all/some, always/usually, may/must, all else equal | `quantifier can != must` |
| `swap` | the same words with roles, order or "only" changed | `swapped usd and eur` |
| `names` | places, languages, products, people | `place Paris != Rome` |
| `format` | the form or length of answer asked for | `format json != table` |
| `language` | the language to answer in | `language french != german` |
| `question` | who/when/where/why/how many, all else equal | `question when != where` |
| `rider` | an instruction that only one holds besides the question | `rider "be rude" only in the stored prompt` |

Limits of the rules: the word lists (`antonyms`, `times`, `names`, `format`, `direction`) are fullest in English,
shorter in German, French, Spanish, Portuguese, Italian, Dutch, Polish, Russian, Chinese and Japanese, and absent
elsewhere. `negation` and number words are also known in Swedish, Danish, Norwegian, Finnish, Czech, Slovak, Hungarian,
Romanian, Indonesian, Vietnamese, Catalan, Croatian, Ukrainian, Bulgarian, Greek, Hebrew, Arabic and Korean. In other
languages that can be recognised, by their script, their own letters or their small words, `coverage` refuses every
near match; a language in Latin letters that it does not recognise is compared by the rules without word lists alone.
These (numbers in digits of any script, versions, labels, identifiers, URLs, flags, quotes, code, operators, emoji,
accents, swapped words) hold in every language that puts spaces or Han and kana characters between words. `rider`,
`quantifiers`, and the small words of `operators`, `direction` and `swap` (and/or, unless, except, only, passives,
comparatives), are mostly English. An accent that is left out by somebody who types none ("cafe" for "café") is no
difference; one that makes another word ("ano", "año") is, and so is any when the unaccented prompt uses accents
elsewhere or asks about the word itself. For an embedder that ignores accents, a stricter check runs before any guard:
see `semantic_llm_cache.similarity.differences`.
"""

from __future__ import annotations

from collections.abc import Iterable

from semantic_llm_cache.arguments import unknown

from .base import Guard, GuardFeatures, GuardSet, Rule, Veto
from .coverage import COVERAGE
from .labels import LABELS
from .names import NAMES
from .numbers import NUMBERS, UNITS_RULE, VERSIONS
from .order import SWAP
from .periods import PERIODS
from .polarity import ANTONYM, DIRECTION, NEGATION
from .quantifiers import QUANTIFIERS
from .residual import residual
from .rider import RIDER
from .style import FORMAT, LANGUAGE, QUESTION
from .symbols import CODE, EMOJI, FLAGS, IDENTIFIERS, OPERATORS, QUOTES, URLS
from .times import TIMES
from .writing import ACCENTS, CASE

__all__ = ["DEFAULT_GUARDS", "Guard", "GuardFeatures", "GuardSet", "Veto", "get_guard", "residual", "resolve_guards"]

_RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        COVERAGE,
        IDENTIFIERS,
        VERSIONS,
        TIMES,
        PERIODS,
        FLAGS,
        CODE,
        URLS,
        QUOTES,
        OPERATORS,
        NUMBERS,
        UNITS_RULE,
        LABELS,
        NEGATION,
        ANTONYM,
        DIRECTION,
        QUANTIFIERS,
        SWAP,
        NAMES,
        LANGUAGE,
        FORMAT,
        QUESTION,
        EMOJI,
        ACCENTS,
        CASE,
        RIDER,
    )
}

DEFAULT_GUARDS: tuple[str, ...] = tuple(_RULES)
"""Names of the built-in rules, in the order in which they are asked."""


def get_guard(name: str) -> Guard:
    """Return one built-in rule as a callable.

    Raises:
        ValueError: no rule of that name; the message lists them.

    Example:
        >>> get_guard("negation")("Is it safe?", "Is it not safe?")
        'negation "not" only in the stored prompt'
    """
    rule = _RULES.get(name)
    if rule is None:
        raise ValueError(f"guards: {unknown('rule', name, DEFAULT_GUARDS)}")
    return rule


def resolve_guards(guards: str | Guard | GuardSet | Iterable[str | Guard] | None) -> GuardSet:
    """Return the guards for a setting.

    Args:
        guards: "default" for all built-in rules; None or "none" for no guard; the name of one rule; one
            callable; or an iterable of names and callables, in which "default" stands for all rules. Rules
            are asked in the order of `DEFAULT_GUARDS`, callables after them in the order given.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
        TypeError: an item is neither a name nor a callable.

    Example:
        >>> def same_length(prompt, candidate):
        ...     return None if len(prompt) == len(candidate) else "length differs"
        >>> resolve_guards(["numbers", same_length]).names
        ('numbers', 'same_length')
    """
    if isinstance(guards, GuardSet):
        return guards
    if guards is None:
        return GuardSet(())
    if isinstance(guards, str) or callable(guards):
        items: list[str | Guard] = [guards]
    else:
        try:
            items = list(guards)
        except TypeError:
            raise TypeError(
                f"guards must be 'default', None, or names and callables, not {type(guards).__name__}"
            ) from None
    chosen: set[str] = set()
    own: list[tuple[str, Guard]] = []
    taken = set(DEFAULT_GUARDS)
    for item in items:
        if isinstance(item, str):
            if item == "default":
                chosen.update(DEFAULT_GUARDS)
            elif item in _RULES:
                chosen.add(item)
            elif item != "none" or len(items) > 1:
                raise ValueError(f"guards: {unknown('rule', item, ('default', 'none', *DEFAULT_GUARDS))}")
        elif isinstance(item, Rule):
            chosen.add(item.name)
        elif callable(item):
            name = getattr(item, "__name__", type(item).__name__)
            unique, number = name, 2
            while unique in taken:
                unique, number = f"{name} {number}", number + 1
            taken.add(unique)
            own.append((unique, item))
        else:
            raise TypeError(f"guards must be names and callables, not {type(item).__name__}")
    return GuardSet((_RULES[name] for name in DEFAULT_GUARDS if name in chosen), own)
