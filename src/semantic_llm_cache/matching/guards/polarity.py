"""Rules "negation", "antonyms" and "direction": the words that reverse a question."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache, lru_cache

from .base import Rule
from .lexicon import in_order, words
from .lexicon.antonyms import ANTONYMS, CJK_ANTONYMS, DIRECTIONS, PARTICLE_OPPOSITES, PREFIX_SWAPS
from .lexicon.languages import (
    CJK_NEGATIONS,
    CJK_NOT_NEGATIONS,
    CONTENTLESS,
    DOUBLE_NEGATIVES,
    DROPPED,
    NEGATIONS,
    NEGATIVE_VERBS,
)
from .logic import comparison, conditions, ends_exchanged
from .text import Reading, stem

__all__ = ["ANTONYM", "DIRECTION", "NEGATION", "from_both_ends", "opposites"]

_NEGATING = in_order("un in im il ir an ne dis non mis des dés a anti nie не без on niet")
# Beginnings that look like a negation and are none.
_NOT_NEGATED = words(
    "across around along again alive another aside asleep awake aware apart away afloat inform information intent "
    "invest inside income input impress import improve impact increase intend instance intake intern display "
    "discover discount discharge discuss disorder dispose distress mistake mission under unit union unite "
    "until indeed indoor inland inner inch impart implant"
)


def _table(text: str, english: bool) -> dict[str, frozenset[str]]:
    sets: dict[str, set[str]] = {}
    for pair in text.split(";"):
        left, _, right = pair.partition("/")
        for a in left.split():
            for b in right.split():
                x, y = stem(a, english), stem(b, english)
                if x != y:
                    sets.setdefault(x, set()).add(y)
                    sets.setdefault(y, set()).add(x)
    return {word: frozenset(others) for word, others in sets.items()}


@cache
def _antonyms(language: str) -> dict[str, frozenset[str]]:
    # English words turn up in technical questions of every language.
    table = dict(_antonyms("en")) if language != "en" else {}
    # A short prompt hardly tells Spanish from Portuguese.
    for each in ("es", "pt") if language in ("es", "pt") else (language,):
        for word, others in _table(ANTONYMS.get(each, ""), language == "en").items():
            table[word] = table.get(word, frozenset()) | others
    return table


@lru_cache(maxsize=1)
def _directions() -> dict[str, frozenset[str]]:
    return _table(DIRECTIONS, True)


_SWAPS: dict[str, frozenset[str]] = {}
for _a, _b in PREFIX_SWAPS:
    _SWAPS[_a] = _SWAPS.get(_a, frozenset()) | {_b}
    _SWAPS[_b] = _SWAPS.get(_b, frozenset()) | {_a}
_LENGTHS = sorted({len(p) for p in _SWAPS})
_NEGATING_SET = frozenset(_NEGATING)


def _pair(
    table: dict[str, frozenset[str]], only_new: frozenset[str], only_old: frozenset[str]
) -> tuple[str, str] | None:
    for word in sorted(only_new & table.keys()):
        others = table[word]
        facing = others & only_old
        # "good and bad" against "pros and cons": a side that names both is about neither.
        if facing and not others & only_new and not table[min(facing)] & only_old:
            return word, min(facing)
    return None


def _prefix_pair(only_new: frozenset[str], only_old: frozenset[str]) -> tuple[str, str] | None:
    if len(only_new) > 60 or len(only_old) > 60:
        return None
    ends = {w[-3:] for w in only_old if len(w) > 2}  # whichever way they are opposites, they end alike
    for word in sorted(only_new):
        if len(word) > 2 and word[-3:] in ends:
            for other in sorted(only_old):
                if other[-3:] == word[-3:] and _differ_by_prefix(word, other):
                    return word, other
        elif word.endswith(("less", "ful")):
            other = word[:-4] + "ful" if word.endswith("less") else word[:-3] + "less"
            if other in only_old:
                return word, other
    return None


def _differ_by_prefix(a: str, b: str) -> bool:
    for x, y in ((a, b), (b, a)):
        front = x[: len(x) - len(y)] if len(x) > len(y) else ""
        if (
            front in _NEGATING_SET
            and len(y) >= (5 if front in ("a", "an") else 3)
            and x.endswith(y)
            and x not in _NOT_NEGATED
        ):
            return True
    for size in _LENGTHS:
        others = _SWAPS.get(a[:size])
        if others and len(a) >= size + 3 and any(o + a[size:] == b for o in others):
            return True
    return False


def _shown(word: str, reading: Reading) -> str:
    """Return the form in which the prompt has a stem."""
    for written, stemmed in zip(reading.words, reading.stems, strict=True):
        if stemmed == word:
            return written
    return word


def opposites(new: Reading, old: Reading) -> tuple[str, str] | None:
    """Return a pair of opposites, each in only one of the prompts, or None."""
    only_new, only_old = new.bag - old.bag, old.bag - new.bag
    if not only_new and not only_old and new.stems != old.stems:
        only_new, only_old = _said_again(new, old), _said_again(old, new)
    if not only_new or not only_old:
        return None
    found = _pair(_antonyms(new.language), only_new, only_old)
    if found is None and old.language != new.language:
        found = _pair(_antonyms(old.language), only_new, only_old)
    return found or _prefix_pair(only_new, only_old)


def _said_again(reading: Reading, other: Reading) -> frozenset[str]:
    """Return the stems that `reading` holds more often: "formal or casual, I want formal"."""
    return frozenset(Counter(reading.stems) - Counter(other.stems))


def _cjk_opposites(new: Reading, old: Reading) -> tuple[str, str] | None:
    ours, theirs = new.text, old.text
    for a, b in CJK_ANTONYMS:
        # Counting what stays after taking out the other prompt's own share keeps "大小" (size) out of it.
        for x, y in ((a, b), (b, a)):
            if x in ours and y in theirs and y not in ours and x not in theirs:
                return x, y
    return None


def _particles(reading: Reading) -> dict[str, str]:
    """Return verb -> particle for "log in", "turn ... off" and the like."""
    known: dict[str, str] | None = reading.facts.get("particles")
    if known is None:
        known = {}
        if not PARTICLE_OPPOSITES.keys().isdisjoint(reading.words):
            for before, word in zip(reading.stems, reading.words[1:], strict=False):
                if word in PARTICLE_OPPOSITES and before not in ("fill", "figur"):
                    known[before] = word  # one fills a form in or out
            # "turn the light off"
            for verb in ("turn", "switch", "put", "shut", "power", "log", "sign"):
                if verb in reading.bag and verb not in known:
                    after = reading.words[reading.stems.index(verb) + 1 :][:5]
                    particle = next((w for w in after if w in ("on", "off")), None)
                    if particle is not None:
                        known[verb] = particle
        reading.facts["particles"] = known
    return known


def _compare_antonyms(new: Reading, old: Reading) -> str | None:
    found = opposites(new, old)
    if found is not None and not from_both_ends(new, old):
        # "not legal" is "illegal"; but "nobody" facing "everybody" is the opposite itself.
        if (_negations(new) - _negations(old)) % 2 and NEGATIONS["en"].isdisjoint(found):
            return None
        return f"opposites {_shown(found[0], new)} != {_shown(found[1], old)}"
    if new.cjk and old.cjk:
        found = _cjk_opposites(new, old)
        if found is not None and not (_negations(new) - _negations(old)) % 2:
            return f"opposites {found[0]} != {found[1]}"
    ours, theirs = _particles(new), _particles(old)
    if ours and theirs:
        for verb in sorted(ours.keys() & theirs.keys()):
            if PARTICLE_OPPOSITES[ours[verb]] == theirs[verb]:
                return f"opposites {_shown(verb, new)} {ours[verb]} != {_shown(verb, old)} {theirs[verb]}"
    return None


# --- negation -----------------------------------------------------------------------------------------

# Czech and Slovak negate a verb by its beginning; these words only look so.
_NEGATED_VERB = re.compile(r"ne(?!j|b[eo]|ch|mec|moc|děl|deľ|rv|rost|zb|přá|pri)\w{3}")
_KOREAN_NEGATION = re.compile("않|없|아니|지 ?마|지 ?말")
_CJK_NEGATION = re.compile("|".join(sorted(CJK_NEGATIONS, key=len, reverse=True)))
_CJK_HARMLESS = re.compile("|".join(sorted(CJK_NOT_NEGATIONS, key=len, reverse=True)))
_HARMLESS = re.compile(
    r"\b(?:whether or not|or not|not only|if not|not to mention|why not|yes or no|no\.? ?\d|no idea|"
    r"no matter|"
    r"(?:is|are|do|does|did|was|were|ca|wo|has|have|would|should|could)n't (?:it|you|they|he|she|we|i|"
    r"that|there)\s*[?.!]*$|"
    r"(?:^|[.?!] )(?:is|are|does|did|was|were|ca|has|have|would|should|could)n't\b|nothing but|no doubt|"
    r"no\s*[?.!]*$|n't you think|never ?mind|not yet|of no)"
)


def _negations(reading: Reading) -> int:
    known: int | None = reading.facts.get("negations")
    if known is None:
        known = reading.facts["negations"] = _count(reading)
    return known


def _count(reading: Reading) -> int:
    if reading.cjk:
        return len(_CJK_NEGATION.findall(_CJK_HARMLESS.sub("", reading.text)))
    words = reading.words
    negative = NEGATIONS.get(reading.language, NEGATIONS["en"])
    count = 0 if negative.isdisjoint(words) else sum(1 for w in words if w in negative)
    if reading.language == "en":
        if count:
            # What is harmless was counted once each.
            count -= len(_HARMLESS.findall(reading.text.lower()))
        return max(count, 0)
    if reading.language in ("cs", "sk"):
        count += sum(1 for w in words if _NEGATED_VERB.match(w) and w not in negative)
    if reading.language == "ko":
        return count + len(_KOREAN_NEGATION.findall(reading.text))
    double = DOUBLE_NEGATIVES.get(reading.language)
    if double and count > 1:
        count -= sum(1 for w in words if w in double)
        count = max(count, 1)
    if reading.language == "fr" and not count and ("ne" in words or "n" in words):
        count = 1
    if words and words[-1] in ("no", "não", "nicht", "không") and count:
        count -= 1  # a tag question
    return count


def _compare_negation(new: Reading, old: Reading) -> str | None:
    ours, theirs = _negations(new), _negations(old)
    if ours == theirs or (ours - theirs) % 2 == 0:
        return None
    plain, negated = (old, new) if ours > theirs else (new, old)
    # The other side may say it with a verb or an opposite: "won't start" is "fails to start".
    if not (plain.bag - negated.bag).isdisjoint(_negative_stems()):
        return None
    if opposites(new, old) is not None or (new.cjk and old.cjk and _cjk_opposites(new, old) is not None):
        return None
    for word in plain.bag - negated.bag:
        if any(word.startswith(p) and word[len(p) :] in negated.bag for p in ("un", "in", "im", "dis", "non")):
            return None
    if new.language != old.language and _negation_words(negated) <= plain.vocabulary:
        return None  # "sin city cast" is read as Spanish, "the cast of sin city" as English
    where = "not in the stored prompt" if ours > theirs else "only in the stored prompt"
    return f'negation "{_negation_word(negated)}" {where}'


@lru_cache(maxsize=1)
def _negative_stems() -> frozenset[str]:
    return frozenset(stem(w) for w in NEGATIVE_VERBS)


def _negation_words(reading: Reading) -> frozenset[str]:
    """Return the words that negate in a prompt's language; what negates in another way is in no other prompt."""
    return reading.vocabulary & NEGATIONS.get(reading.language, NEGATIONS["en"]) or frozenset(("",))


def _negation_word(reading: Reading) -> str:
    if reading.cjk:
        match = _CJK_NEGATION.search(_CJK_HARMLESS.sub("", reading.text))
        return match.group() if match else "?"
    negative = NEGATIONS.get(reading.language, NEGATIONS["en"])
    return next((w for w in reading.words if w in negative), "ne")


# --- direction ----------------------------------------------------------------------------------------

_FACING: dict[str, dict[str, str]] = {
    "en": {"to": "from", "into": "from", "before": "after", "above": "below", "over": "under", "for": "against",
           "until": "since", "with": "without", "toward": "from", "onto": "off"},
    "de": {"nach": "von", "zu": "von", "vor": "nach", "mit": "ohne", "über": "unter"},
    "fr": {"vers": "depuis", "avec": "sans", "avant": "après", "sur": "sous"},
    "es": {"hacia": "desde", "hasta": "desde", "con": "sin", "sobre": "bajo"},
    "pt": {"para": "de", "com": "sem", "sobre": "sob"},
    "it": {"con": "senza", "verso": "da", "sopra": "sotto", "a": "da"},
    "nl": {"naar": "van", "met": "zonder", "voor": "na"},
    "pl": {"do": "z", "przed": "po", "nad": "pod", "bez": "z"},
    "ru": {"в": "из", "до": "после", "с": "без", "над": "под", "на": "с"},
}  # fmt: skip
_FACING_BOTH = {language: tuple(pairs.items()) for language, pairs in _FACING.items()}
_FACING_PAIRS = {
    language: frozenset(pairs) | frozenset((b, a) for a, b in pairs) for language, pairs in _FACING_BOTH.items()
}
_PREPOSITIONS = {language: frozenset(p) | frozenset(p.values()) for language, p in _FACING.items()}


_BOTH_WAYS = words("far distance difference differences between weit entfernung loin distancia distância distanza")


def _governed(reading: Reading) -> dict[str, str]:
    """Return word -> the one preposition right before it, articles skipped; "" if there are several."""
    known: dict[str, str] | None = reading.facts.get("governed")
    if known is None:
        known = {}
        prepositions = _PREPOSITIONS.get(reading.language)
        if prepositions and not prepositions.isdisjoint(reading.words):
            held = ""
            for word, stemmed in zip(reading.words, reading.stems, strict=True):
                if word in prepositions:
                    held = word
                elif word in DROPPED or word in ("my", "your", "his", "her", "our", "their"):
                    continue
                else:
                    if stemmed not in CONTENTLESS:
                        known[stemmed] = held if known.get(stemmed, held) == held else ""
                    held = ""
        reading.facts["governed"] = known
    return known


def _compare_direction(new: Reading, old: Reading) -> str | None:
    only_new, only_old = new.bag - old.bag, old.bag - new.bag
    if only_new and only_old and new.language == old.language == "en":
        found = _pair(_directions(), only_new, only_old)
        if found is not None and not (_negations(new) - _negations(old)) % 2:
            return f"direction {_shown(found[0], new)} != {_shown(found[1], old)}"
    if not new.vocabulary.isdisjoint(_BOTH_WAYS) and not old.vocabulary.isdisjoint(_BOTH_WAYS):
        return None  # it is as far from Rome to Pisa as from Pisa to Rome
    facing = _FACING_BOTH.get(new.language)
    if facing is None or new.language != old.language:
        return None
    here, there = new.vocabulary, old.vocabulary
    if not any((a in here and b in there) or (b in here and a in there) for a, b in facing):
        return None
    pairs = _FACING_PAIRS[new.language]
    ours, theirs = _governed(new), _governed(old)
    for word, preposition in ours.items():
        other = theirs.get(word)
        if other and preposition and (preposition, other) in pairs:
            shown = _shown(word, new)
            return f"direction {preposition} {shown} != {other} {_shown(word, old)}"
    return None


NEGATION = Rule("negation", _compare_negation)
ANTONYM = Rule("antonyms", _compare_antonyms)


def from_both_ends(new: Reading, old: Reading) -> bool:
    """Return whether both compare the same things, one from each end: "A is slower than B" and "B is faster than A"."""
    if "than" not in new.vocabulary or "than" not in old.vocabulary:
        return False
    return comparison(new, old)[1] or (ends_exchanged(new, old) and opposites(new, old) is not None)


def _compare_directions(new: Reading, old: Reading) -> str | None:
    if from_both_ends(new, old):
        return None
    compared, _ = comparison(new, old)
    return compared or conditions(new, old) or _compare_direction(new, old)


DIRECTION = Rule("direction", _compare_directions)
