"""Whether a short answer is what a longer one claims: where its words stand there, and what else is claimed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from semantic_llm_cache.matching.answers.said import FRAME, Said, Word, content, missing, new_values, new_words
from semantic_llm_cache.matching.answers.values import Value, agree, values
from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.lexicon.languages import NEGATIONS

__all__ = ["Claim", "asks_yes", "claim", "items", "order_matters", "same_items"]

_SPLIT = re.compile(
    r"\s*[,;:()–—]\s*|\s+-\s+|\s+(?=(?:but|although|though|whereas|while|unlike|rather than|instead of|not|even "
    r"though|despite|because|which|"
    r"where|who|whose)\b)",
    re.IGNORECASE,
)
_TURNED = re.compile(
    r"^(?:but|although|though|whereas|while|unlike|rather than|instead of|not|even though|despite|contrary to|as "
    r"opposed to|"
    r"compared (?:to|with)|having|his|her|their|its|a|an|they|sondern nicht|nicht|pas|no)\b",
    re.IGNORECASE,
)
_AGAINST = re.compile(
    r"^(?:but not|although|though|whereas|unlike|rather than|instead of|not|even though|despite|contrary to|as "
    r"opposed to)\b",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"^(?:according|in|at|on|for|from|by|with|as|when|while|if|after|before|since|during|under|to|depending|yes|no|"
    r"well|actually|however|"
    r"generally|usually|technically|strictly|\w+ly speaking|\w+ly|currently|today|once|among|of)\b",
    re.IGNORECASE,
)
_NOT = NEGATIONS["en"] | words(
    "nicht kein keine pas jamais no nunca non não isn't aren't wasn't weren't doesn't don't didn't can't"
)
_NEGATED = re.compile(r"\b(?:not|no|never|cannot|nor|without|nobody|nothing|none)\b|n't\b", re.IGNORECASE)
_DOUBTED = re.compile(
    r"\beither\b.*\bor\b|\bnot sure\b|\bmight be\b.*\bor\b|\bcould be\b.*\bor\b|\bit depends\b|\bdepends on\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"\b(?:sort\w*|order\w*|rank\w*|steps?|sequence|sequential|outwards?|inwards?|ascending|descending|"
    r"chronological\w*|largest first|smallest first|"
    r"first|last|from .{1,40} to|top \d+|timeline|priority|priorit\w+|before|after|next|process|procedure|stages?|"
    r"phases?|how (?:do|can|should|to))\b",
    re.IGNORECASE,
)  # fmt: skip
_STEP = re.compile(r"\b(?:first|then|next|finally|afterwards?|lastly)\b", re.IGNORECASE)
_ITEM = re.compile(r"\s*(?:,\s*(?:and|or|und|et|y|e)\s+|,|;|\n|\s(?:and|or|und|oder|et|ou|y|e|plus|&|\+)\s)\s*")
_CLAUSE = re.compile(r"\b(?:which|where|who|that|because|while|when|so)\b|, or\b", re.IGNORECASE)
_ONLY = re.compile(r"\b(?:only|just|nothing (?:but|else)|solely|merely)\b", re.IGNORECASE)
_COPULA = re.compile(
    r"^.*?\b(?:is|are|was|were|include|includes|consists? of|made (?:from|of)|comprises?|as follows|following|"
    r"namely|sind|ist|sont|est|son|es|"
    r"border|borders)\b:?\s*",
    re.IGNORECASE | re.DOTALL,
)


_ASKS_YES = re.compile(
    r"^\W*(?:(?:so|and|but|hi|hello|please tell me|tell me|can you tell me|do you know)[, ]+(?:if |whether "
    r")?)?(?:is|are|am|was|were|do|does|did|can|"
    r"could|should|shall|will|would|has|have|had|may|might|must|isn't|aren't|don't|doesn't|can't|true or false|ist|"
    r"sind|hat|kann|est-ce|es|son|é)\b",
    re.IGNORECASE,
)


_MOST_ITEMS = 60


_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


class Claim(NamedTuple):
    """How a short answer stands in a longer one.

    Attributes:
        lacking: its words and values that the longer one lacks, as written.
        place: 1.0 in what the longer one mainly claims, 0.6 elsewhere in its first sentence, 0.3 later, 0.0 nowhere.
        against: it stands where something is ruled out ("not", "although", "unlike") or left open ("either ... or").
        rival: the main claim has another name or value in its place.
    """

    lacking: tuple[str, ...]
    place: float
    against: bool
    rival: str


def _holds(wanted: Sequence[Word], amounts: Sequence[Value], text: str) -> tuple[list[Word], list[Value]]:
    """Return the words and values that `text` lacks."""
    there = values(text)
    return missing(wanted, content(text)), [v for v in amounts if not any(agree(v, w) for w in there)]


def claim(short: Said, long: Said) -> Claim:
    """Look for the short answer's words and values in the longer one."""
    wanted: Sequence[Word] = short.new
    amounts: Sequence[Value] = short.values
    if (not wanted and not amounts) or asks_yes(short.question) or (short.is_label and long.is_label):
        # What repeats the question is what is said there: "It is included", "It raises it", a label.
        wanted, amounts = short.words, values(short.text)
    if _UNSPACED.search(short.text) and short.text.strip("。.!！ ") not in long.text:
        return Claim((short.text[:20],), 0.0, False, "")  # its characters may stand there in other words
    words_left, values_left = _holds(wanted, amounts, long.text)
    if (
        _ONLY.search(short.text)
        and not _ONLY.search(long.text)
        and len(missing(long.new, short.words)) + len(long.values) > 1
    ):
        return Claim((), 0.3, True, "")
    lacking = tuple(w.written for w in words_left) + tuple(v.shown for v in values_left)
    if lacking or not (wanted or amounts):
        return Claim(lacking or ("nothing to look for",), 0.0, False, "")
    for number, sentence in enumerate(long.sentences):
        if any(_holds(wanted, amounts, sentence)):
            continue
        if _DOUBTED.search(sentence) and not _DOUBTED.search(short.text):
            return Claim((), 0.6, True, "")
        place, against, rival = _in_sentence(wanted, amounts, sentence, long)
        against = against and not _NEGATED.search(short.text)
        if number:
            rival = rival or _rival(wanted, amounts, long.sentences[0], long)
            place = 0.3 if rival else min(place, 0.6)
        return Claim((), place, against, rival)
    return Claim((), 0.5, False, "")


def _in_sentence(
    wanted: Sequence[Word], amounts: Sequence[Value], sentence: str, long: Said
) -> tuple[float, bool, str]:
    parts = [part for part in _SPLIT.split(sentence) if part.strip(" .!?\"'")]
    head = next(
        (
            i
            for i, part in enumerate(parts)
            if _claims(part, long) and not (_LEAD_IN.match(part) and i + 1 < len(parts))
        ),
        0,
    )
    found = [i for i, part in enumerate(parts) if not any(_holds(wanted, amounts, part))]
    if not found:
        return 0.8, _is_denied(sentence, wanted), _earlier(amounts, sentence, long)
    first = found[0]
    against = bool(_AGAINST.match(parts[first])) or _is_denied(parts[first], wanted)
    if first <= head:
        return 1.0, against, _earlier(amounts, parts[first], long)
    rival = _rival(wanted, amounts, parts[head], long)
    turned = bool(_TURNED.match(parts[first]))
    return (0.6 if not (rival or turned) else 0.3), against, rival


def _earlier(amounts: Sequence[Value], part: str, long: Said) -> str:
    """Return another value of the same kind that stands before the wanted one: the first is what is mainly said."""
    for value in amounts:
        rivals = [v for v in new_values(values(part), long.question) if v.kind == value.kind and v.unit == value.unit]
        ours = next((v for v in rivals if agree(v, value)), None)
        for other in rivals:
            if ours is not None and not other.weak and not agree(other, value):
                if 0 <= part.find(other.shown) < part.find(ours.shown):
                    return other.shown
    return ""


def asks_yes(question: str) -> bool:
    """Return whether a question asks for yes or no."""
    return _ASKS_YES.match(question) is not None or "true or false" in question.lower()


def _claims(part: str, long: Said) -> bool:
    """Return whether a clause says something that the question does not hold."""
    return bool(new_words(content(part), long.asked) or new_values(values(part), long.question))


def _is_denied(part: str, wanted: Sequence[Word]) -> bool:
    """Return whether a negation stands close before the wanted words."""
    low = part.casefold()
    at = min((low.find(w.written.casefold()) for w in wanted if w.written.casefold() in low), default=len(low))
    before = re.findall(r"[\w']+", low[:at])[-4:]
    return any(word in _NOT for word in before)


def _rival(wanted: Sequence[Word], amounts: Sequence[Value], part: str, long: Said) -> str:
    """Return another name, or another value of the same kind, that `part` claims; "" for none."""
    if not amounts and any(w.name or w.written[:1].isupper() for w in wanted):
        others = [w for w in missing(content(part), long.asked) if w.written[:1].isupper()]
        others = [w for w in others if w.written.casefold() not in FRAME]
        others = missing(others, list(wanted))
        if others:
            return others[0].written
    for value in amounts:
        for other in new_values(values(part), long.question):
            if other.kind == value.kind and other.unit == value.unit and not agree(other, value) and not other.weak:
                return other.shown
    return ""


# ------------------------------------------------------------------------------ lists


def order_matters(question: str, *answers: str) -> bool:
    """Return whether the order of a list is part of the answer."""
    return bool(_ORDERED.search(question)) or any(len(_STEP.findall(answer)) > 1 for answer in answers)


def items(said: Said) -> list[str] | None:
    """Return the items of an answer that is a list of short things; None when it is none."""
    text = said.text
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1:
        if lines[0].rstrip().endswith(":"):
            lines = lines[1:]
        if all(len(line) < 60 for line in lines) and len(lines) > 1:
            return [line.strip(" .") for line in lines]
        return None
    if len(said.sentences) != 1:
        return None
    body = text.rstrip(" .!")
    copula = _COPULA.match(body)
    if copula is not None and len(body) - copula.end() > 2:
        lead = body[: copula.end()]
        if len(new_words(content(lead), said.asked)) > 1 or new_values(values(lead), said.question):
            return None
        body = body[copula.end() :]
    if _CLAUSE.search(body):
        return None
    found = [part for part in _ITEM.split(body) if part and part.strip()]
    joined = re.search(r"\s(?:and|or|und|oder|et|ou|y|e|plus|&|\+)\s|;", body) is not None
    if len(found) < (2 if joined else 3):
        return None
    sizes = [len(content(part)) + len(values(part)) for part in found]
    return found if all(1 <= size <= 3 for size in sizes) and sum(sizes) <= 2 * len(sizes) else None


def same_items(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """Return the items without a partner on either side, and whether the partners stand in the same order."""
    if max(len(ours), len(theirs)) > _MOST_ITEMS:  # comparing all with all would take too long
        ours, theirs = ours[:_MOST_ITEMS], theirs[:_MOST_ITEMS]
    left = list(range(len(theirs)))
    order: list[int] = []
    alone: list[str] = []
    for item in ours:
        partner = next((i for i in left if _same_item(item, theirs[i])), None)
        if partner is None:
            alone.append(item)
        else:
            left.remove(partner)
            order.append(partner)
    return alone, [theirs[i] for i in left], order == sorted(order)


def _same_item(a: str, b: str) -> bool:
    x, y = content(a), content(b)
    if bool(_NEGATED.search(a)) != bool(_NEGATED.search(b)):
        return False
    amounts, others = values(a), values(b)
    if len(amounts) != len(others) or any(not any(agree(v, w) for w in others) for v in amounts):
        return False
    return not missing(x, y) or not missing(y, x) if (x and y) else x == y
