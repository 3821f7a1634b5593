"""Small words that reverse a condition: and/or, joins, bounds, if/unless, including/except, less/more of a quality.

Parts of the rules "operators" and "direction".
"""

from __future__ import annotations

import re

from .lexicon import words
from .lexicon.languages import CONTENTLESS
from .text import Reading

__all__ = ["comparison", "conditions", "connectives", "ends_exchanged", "may_connect"]

# --- and / or, joins, SQL -----------------------------------------------------------------------------

_CONDITIONAL = words(
    "select filter where when if unless while whose rows records query condition conditions match matches matching "
    "tagged return true false show both either every require requires required need needs must contain contains "
    "allow allowed alarm trigger users tickets"
)
_SQL = re.compile(
    r"\bselect\b.*\bfrom\b|\b(?:order|group|partition) by\b|\b(?:delete|insert) (?:from|into)\b", re.DOTALL
)
_SQL_WORDS = words(
    "distinct union intersect except minus desc max min avg sum count exists having cross inner left right full"
)
_CONNECTING = _SQL_WORDS | words("or join joins")
_JOINS = re.compile(r"\b(?:(inner|left|right|full|cross|natural|self|anti|semi)(?: outer)? )?joins?\b")


def connectives(new: Reading, old: Reading) -> str | None:
    """Return the boolean word, join or SQL keyword in which two prompts differ, or None."""
    return _and_or(new, old) or _joins(new, old) or _sql(new, old)


def may_connect(reading: Reading) -> bool:
    """Return False if `connectives` finds nothing in a prompt."""
    return not _CONNECTING.isdisjoint(reading.vocabulary)


def _and_or(new: Reading, old: Reading) -> str | None:
    ours, theirs = new.words, old.words
    if "or" not in new.vocabulary and "or" not in old.vocabulary:
        return None
    if _CONDITIONAL.isdisjoint(new.vocabulary) and _CONDITIONAL.isdisjoint(old.vocabulary):
        return None  # "tips and tricks" are "tips or tricks"
    ours, theirs = _without_both(ours), _without_both(theirs)
    if len(ours) != len(theirs):
        return None
    different = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    if different and all({a, b} == {"and", "or"} for a, b in different):
        return f"operator {different[0][0]} != {different[0][1]}"
    return None


def _without_both(words: list[str]) -> list[str]:
    return [word for word in words if word not in ("both", "either", "the", "a", "an")]


def _joins(new: Reading, old: Reading) -> str | None:
    if not ({"join", "joins"} & new.vocabulary and {"join", "joins"} & old.vocabulary):
        return None
    ours, theirs = (set(_JOINS.findall(reading.lower)) for reading in (new, old))
    if ours == theirs or not (ours | theirs) - {""}:
        return None
    if ours - theirs and theirs - ours:
        return f"operator {max(ours - theirs) or 'plain'} join != {max(theirs - ours) or 'plain'} join"
    return None


def _sql(new: Reading, old: Reading) -> str | None:
    ours, theirs = _keywords(new), _keywords(old)
    if ours == theirs or not (_SQL.search(new.lower) and _SQL.search(old.lower)):
        return None
    if ours - theirs:
        return f"operator {min(ours - theirs)} not in the stored prompt"
    return f"operator {min(theirs - ours)} only in the stored prompt"


def _keywords(reading: Reading) -> frozenset[str]:
    found = reading.vocabulary & _SQL_WORDS
    return found | {"union all"} if "union all" in reading.lower else found


# --- bounds, if / unless, including / except ----------------------------------------------------------

_MORE, _LESS = r"more|greater|higher|larger|older|longer", r"less|fewer|lower|smaller|younger|shorter"
_NUMBER = r"(?=\d|an? (?:million|billion|hundred|thousand))"
_BOUNDS = (
    (
        ">=",
        re.compile(
            r"\bat least\b|\bor (?:more|greater|higher|above|older|over)\b|\bor equal\b(?= to)|"
            r"\bno (?:less|fewer) than\b"
        ),
    ),
    ("<=", re.compile(r"\bat most\b|\bor (?:less|fewer|lower|below|younger|under)\b|\bno more than\b|\bup to (?=\d)")),
    (">", re.compile(rf"\b(?:{_MORE}) than {_NUMBER}|\b(?:over|above) (?=\d)")),
    ("<", re.compile(rf"\b(?:{_LESS}) than {_NUMBER}|\b(?:under|below) (?=\d)")),
)
_BOUND_WORDS = words("than least most over above under below or up")
_UNLESS = re.compile(
    r"\b(?:unless|except (?:if|when)|es sei denn|außer wenn|sauf si|à moins que|"
    r"a menos que|a meno che|tenzij|chyba że)\b"
)
_IF = re.compile(r"\b(?:if|when|where|wenn|falls|si|se|als|jeśli)\b")
_EVEN_IF = re.compile(r"\beven (?:if|when|though)\b|\bonly (?:if|when)\b|\bselbst wenn\b|\bmême si\b|\baunque\b")
_WITHOUT = re.compile(
    r"\b(?:except(?:ing)?|exclud(?:e|es|ed|ing)|exclusive|apart from|other than|aside from|save for|hors|exklusive|"
    r"zuzüglich|zzgl|exclu(?:s|es|ido|idos|idas)|außer)\b|\b(?:all|every|each|any|everything|everyone|everybody|anyone|"
    r"nothing|nobody|none)\b(?: [\w']+){0,3} but (?!not\b|also\b|it\b|i\b|the\b|what\b|how\b|is\b|are\b)"
)
_WITH = re.compile(
    r"\b(?:includ(?:e|es|ed|ing)|inclusive|inklusive|inkl|as well as|along with|together with|plus|compris(?:e|es)?|"
    r"inclus(?:es|e)?|incluidos?|incluidas?|also|and)\b"
)
_CONDITION_WORDS = words("unless even only außer sei sauf moins menos meno tenzij chyba selbst même aunque")
_EXCLUSION_WORDS = words(
    "except excepting exclude excludes excluded excluding exclusive apart other aside save but hors exklusive "
    "zuzüglich zzgl exclus exclues excluido excluidos excluidas außer"
)


def conditions(new: Reading, old: Reading) -> str | None:
    """Return how two prompts differ in a bound, in if and unless, or in what is left out, or None."""
    here, there = new.vocabulary, old.vocabulary
    if not (_BOUND_WORDS.isdisjoint(here) or _BOUND_WORDS.isdisjoint(there)) and (found := _bounds(new, old)):
        return found
    if not (_CONDITION_WORDS.isdisjoint(here) and _CONDITION_WORDS.isdisjoint(there)) and (found := _unless(new, old)):
        return found
    if not (_EXCLUSION_WORDS.isdisjoint(here) and _EXCLUSION_WORDS.isdisjoint(there)):
        return _excluded(new, old)
    return None


def _bounds(new: Reading, old: Reading) -> str | None:
    ours, theirs = ({name for name, found in _BOUNDS if found.search(reading.lower)} for reading in (new, old))
    if "than" in new.vocabulary and "than" in old.vocabulary and (">=" in ours) != (">=" in theirs):
        ours, theirs = ours or {">"}, theirs or {">"}  # "greater than y" and "greater than or equal to y"
    if ours and theirs and ours != theirs:
        return f"direction {min(ours - theirs or ours)} != {min(theirs - ours or theirs)}"
    return None


def _unless(new: Reading, old: Reading) -> str | None:
    ours, theirs = new.lower, old.lower
    for name, pattern in (("unless", _UNLESS), ("even if", _EVEN_IF)):
        mine, yours = pattern.search(ours), pattern.search(theirs)
        if bool(mine) == bool(yours):
            continue
        plain, other = (old, theirs) if mine else (new, ours)
        if _IF.search(other) and (name != "unless" or "not" not in plain.vocabulary):
            where = "not in the stored prompt" if mine else "only in the stored prompt"
            return f"direction {(mine or yours).group()} {where}"  # type: ignore[union-attr]
    return None


def _excluded(new: Reading, old: Reading) -> str | None:
    mine, yours = _WITHOUT.search(new.lower), _WITHOUT.search(old.lower)
    if bool(mine) == bool(yours):
        return None
    other = _WITH.search((old if mine else new).text.lower())
    if other is None:
        return None
    shown = (mine or yours).group().split()[-1]  # type: ignore[union-attr]
    return f"direction {shown} != {other.group()}" if mine else f"direction {other.group()} != {shown}"


# --- more or less of a quality ------------------------------------------------------------------------

_COMPARED = re.compile(
    r"\b(?:(more|less|most|least) ([a-z]{3,})|((?:not |n't )?(?:as|so)) ([a-z]{3,}) as|([a-z]{2,}(?:er|est)))\b"
)
_NO_QUALITY = words(
    "than then other another whether either neither never over under after per number water paper letter computer "
    "user server player power matter order offer answer customer center filter master member weather winter summer "
    "dinner father mother brother sister daughter teacher developer manager engineer driver printer router browser "
    "folder consider remember discover deliver transfer enter differ refer prefer suffer cover wonder best test "
    "request interest latest rest west forest guest honest contest invest suggest chest nest fever river silver "
    "copper pepper butter ever her later former together rather however people likely of in to and common lever "
    "finger tiger cancer laser rubber"
)


def comparison(new: Reading, old: Reading) -> tuple[str | None, bool]:
    """Check whether two prompts compare things by the same measure and in the same direction.

    Returns:
        Why they differ, or None; and True if they say the same from both ends: "ice less dense than water" and
        "water denser than ice".
    """
    ours, theirs = _compared(new), _compared(old)
    for quality in ours.keys() & theirs.keys():
        mine, yours = ours[quality], theirs[quality]
        if mine[0] == yours[0]:
            continue
        turned = bool(mine[1]) and bool(yours[1]) and _ends(new, mine[1]) == _ends(old, yours[1])[::-1]
        if turned and {mine[0], yours[0]} == {"more", "less"}:
            return None, True
        return f"direction {mine[2]} != {yours[2]}", False
    return None, False


def ends_exchanged(new: Reading, old: Reading) -> bool:
    """Return whether the words before and after "than" in one prompt are exchanged in the other."""
    ours, theirs = (_ends(reading, reading.words.index("than")) for reading in (new, old))
    return bool(ours[0]) and bool(ours[1]) and ours == theirs[::-1] and ours[0] != ours[1]


def _compared(reading: Reading) -> dict[str, tuple[str, int, str]]:
    """Return quality -> (more, less, most, least or as; where "than" stands among the words or 0; as written)."""
    known: dict[str, tuple[str, int, str]] | None = reading.facts.get("compared")
    if known is not None:
        return known
    known = reading.facts["compared"] = {}
    if reading.language != "en":
        return known
    at = reading.words.index("than") if "than" in reading.vocabulary else 0
    for match in _COMPARED.finditer(reading.lower):
        way, quality, equal, alike, single = match.groups()
        if single:
            if single in _NO_QUALITY or (single.endswith("er") and not at and "which" not in reading.vocabulary):
                continue
            way, quality = ("more", single[:-2]) if single.endswith("er") else ("most", single[:-3])
        elif alike:
            way, quality = ("less" if equal.startswith("n") else "as"), alike
        if quality in CONTENTLESS or quality in _NO_QUALITY or (way == "as" and "as" not in reading.vocabulary):
            continue
        known.setdefault(_quality(quality), (way, at, match.group()))
    return known


def _quality(word: str) -> str:
    word = word.rstrip("e")
    if word.endswith("i"):
        word = word[:-1] + "y"
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word


def _ends(reading: Reading, than: int) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words on either side of "than", without the comparing words."""
    skipped = {"more", "less", "dense"}
    sides = []
    for part in (slice(0, than), slice(than + 1, None)):
        pairs = zip(reading.words[part], reading.stems[part], strict=True)
        sides.append(
            frozenset(
                stem
                for word, stem in pairs
                if word not in CONTENTLESS and word not in skipped and not word.endswith("er") and word != "does"
            )
        )
    qualities = set(_compared(reading))
    return tuple(frozenset(s for s in side if _quality(s) not in qualities) for side in sides)  # type: ignore[return-value]
