"""The layers that settle a comparison by rule: writing, JSON, code, a choice, yes or no, lists, values, refusals."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from semantic_llm_cache.matching.answers.claims import asks_yes, items, order_matters, same_items
from semantic_llm_cache.matching.answers.code import codes, is_code, same_code, tokens
from semantic_llm_cache.matching.answers.refusals import is_refusal
from semantic_llm_cache.matching.answers.said import Said, alike, content, missing
from semantic_llm_cache.matching.answers.text import light
from semantic_llm_cache.matching.answers.values import agree, facing, values
from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.lexicon.languages import NEGATIONS
from semantic_llm_cache.matching.guards.polarity import opposites
from semantic_llm_cache.matching.guards.text import read

__all__ = ["RULES", "Finding", "polarity"]

_JSON_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
_LABELLED = re.compile(
    r"(?:(?<=\s)|(?<=:)|^)\(?([A-Ha-h]|[1-9])[).:](?!\d)\s*(.+?)(?=[,;]?\s+(?:or\s+)?\(?(?:[A-Ha-h]|"
    r"[1-9])[).:](?!\d)\s|\.\s|[?\n]|$)"
)
_LETTER = re.compile(
    r"^\W*(?:(?:the |my )?(?:correct |right |best )?(?:answers?|options?|choices?)(?: (?:is|are|would "
    r"be))?:?\s*)?(?:option |choice |answer )?"
    r"\(?\**([A-Ha-h1-9])\**(?:[).:]|\b)(?!')((?:\s*(?:,|and|&)\s*\(?[A-H1-9]\b\)?)*)",
    re.IGNORECASE,
)  # fmt: skip
_YES = re.compile(
    r"^\W*(?:(?:so|and|but|hi|hello|please tell me|tell me|can you tell me|do you know)[, ]+(?:if |whether "
    r")?)?(?:is|are|am|was|were|do|does|did|can|could|"
    r"should|shall|will|would|has|have|had|may|might|must|isn't|aren't|don't|doesn't|can't|true or false|ist|sind|"
    r"hat|kann|est-ce|es|son|é)\b",
    re.IGNORECASE,
)
_YES = re.compile(
    r"^\W*(?:[\w ]{0,30}, )?(?:yes|yeah|yep|true|correct|right|indeed|absolutely|definitely|of course|certainly|"
    r"that(?:'s| is) (?:true|right|correct)|"
    r"it is(?: true| correct)?(?=[.!,]|$)|ja|oui|sí|si|sim|да|はい|是)(?!\w)",
    re.IGNORECASE,
)
_NO = re.compile(
    r"^\W*(?:[\w ]{0,30}, )?(?:it is |that is |that's |this is |the statement is )?(?:no|nope|false|incorrect|wrong|"
    r"not (?:really|exactly|quite|true|correct|at all)|"
    r"never|better not|absolutely not|definitely not|certainly not|of course not|untrue|nein|non|não|нет|いいえ|"
    r"不)(?![\w-])",
    re.IGNORECASE,
)
_NOT_WORD = re.compile(r"\b(?:not|no|never|cannot|nor|without|nobody|nothing)\b|n't\b|\bnon-", re.IGNORECASE)
_UNDECIDED = re.compile(r"\b(?:depends|sometimes|may or may not|partly|partially|yes and no)\b", re.IGNORECASE)
_SMALL_CODE = 60  # tokens: code up to this long that differs does something else
_SHORT_CODE = 100  # characters of an answer with one piece of inline code
_SIGNS = re.compile(r"[+#*^=<>~!/\\-]")


class Finding(NamedTuple):
    """What a rule found.

    Attributes:
        rule: the key of its probability in the table of `weights`.
        reason: for people.
    """

    rule: str
    reason: str


def empty(a: Said, b: Said) -> Finding | None:
    """An answer without text is the same only as another one."""
    if a.sentences and b.sentences:
        return None
    same = a.raw.strip() == b.raw.strip()
    return Finding("equal", "equal text") if same else Finding("other value", "only one answer has text")


def written(a: Said, b: Said) -> Finding | None:
    """Equal up to case, markdown, preambles."""
    if is_code(a.raw) or is_code(b.raw):
        return Finding("equal", "equal text") if a.raw.strip() == b.raw.strip() else None
    ours, theirs = light(a.text).replace("_", " "), light(b.text).replace("_", " ")
    signs = re.compile(r"[+\-<>=/%#$€£\\^*]")
    if ours == theirs and (ours or a.raw.strip() == b.raw.strip()):
        return Finding("equal", "equal up to writing")
    if (
        ours
        and ours.replace(" ", "").replace("-", "") == theirs.replace(" ", "").replace("-", "")
        and not signs.search(a.text + b.text)
    ):
        return Finding("equal", "equal up to spaces")
    return None


def named(a: Said, b: Said) -> Finding | None:
    """Answers of a few words, in any frame: "credit limit" and "credit limit change" name different things."""
    if not (a.is_label and b.is_label):
        return None
    ours, theirs = [w.stem for w in a.words], [w.stem for w in b.words]
    classified = _is_classified(a, b)
    if ours == theirs:
        negated = bool(_NOT_WORD.search(a.text)) != bool(_NOT_WORD.search(b.text))
        counted = facing(values(a.text), values(b.text))
        same = bool(ours) and not (negated or counted) and not (classified and _telling(a) != _telling(b))
        return Finding("same label", "the same words in other frames") if same else None
    if not a.words or not b.words:
        return None
    if classified:
        lone = missing(a.words, b.words) or missing(b.words, a.words)
        if lone:
            return Finding("other label", f"only one says {lone[0].written!r}")
        return Finding("other label", "the same words in another order") if len(ours) == len(theirs) else None
    short, long = sorted((a, b), key=lambda said: len(said.words))
    if _JOINED.search(a.text) or _JOINED.search(b.text):
        return None
    if sorted(ours) == sorted(theirs):
        return Finding("other label", "the same words in another order") if len(ours) < 4 else None
    if missing(short.words, long.words):
        return None
    extra = missing(long.words, short.words)
    head = alike(short.words[-1], long.words[-1])
    if missing(extra, short.asked) and (not head or any(w.written.casefold() in _ACTIONS for w in extra)):
        return Finding("other label", f"only one says {extra[0].written!r}")
    return None


def _telling(said: Said) -> list[str]:
    """Return the small words that tell categories apart: "what is your name" is not "user name"."""
    return [word for word in light(said.text).split() if word in _SMALL_WORDS]


_SMALL_WORDS = words("what who where when why how your my you can not no yes")


def _is_classified(a: Said, b: Said) -> bool:
    """Return whether the answers are categories, of which each word counts, and not things that a question asks for."""
    if _CATEGORY.search(a.raw) or _CATEGORY.search(b.raw):
        return True
    return bool(a.question) and "?" not in a.question and _ASKS.match(a.question) is None


_CATEGORY = re.compile(
    r"\b(?:intents?|labels?|labell?ed|categor(?:y|ies)|class(?:if(?:y|ied|ication))?|"
    r"topics?)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\W*(?:what|who|whom|whose|which|when|where|why|how|name|list|give|write|tell|explain|describe|translate|find|"
    r"spell|define|"
    r"summari[sz]e|convert|calculate|complete|fill|return|extract|generate|suggest|recommend)\b",
    re.IGNORECASE,
)
_JOINED = re.compile(r"[,;()/]|\b(?:and|or|of|in|on|for|with|than|by|to|from|at)\b")
_ACTIONS = words(
    "add apply book buy call cancel change check close confirm convert create delete disable download edit enable "
    "find flip freeze improve "
    "increase decrease install make open order pay play redeem remove replace report request reset restart return "
    "schedule send set "
    "share start stop sync track transfer translate update upgrade upload use verify"
)


def labels(a: Said, b: Said) -> Finding | None:
    """Labels, identifiers and symbols of one word: another one is another thing ("Na" and "Na+", "a.b" and "a.c")."""
    ours, theirs = a.text.strip(" .`\"'"), b.text.strip(" .`\"'")
    if values(ours) and values(theirs):
        return None
    if not ours or not theirs or len(ours.split()) > 1 or len(theirs.split()) > 1:
        return None
    joined = all(re.search(r"\w[._:/-]\w", text) for text in (ours, theirs))
    signs = light(_SIGNS.sub("", ours)) == light(_SIGNS.sub("", theirs)) and _SIGNS.findall(ours) != _SIGNS.findall(
        theirs
    )
    loud = ours.isupper() and theirs.isupper() and min(len(ours), len(theirs)) > 1
    return Finding("other value", f"{ours[:30]!r} and {theirs[:30]!r}") if joined or signs or loud else None


def refused(a: Said, b: Said) -> Finding | None:
    """A refusal is never the same as an answer."""
    ours, theirs = is_refusal(a.text), is_refusal(b.text)
    if ours and theirs:
        return Finding("both refuse", "both refuse or do not know")
    if ours or theirs:
        return Finding("one refuses", f"only the {'fresh' if ours else 'stored'} answer refuses or does not know")
    return None


# ------------------------------------------------------------------------------ JSON


def _parsed(text: str) -> Any:
    fenced = _JSON_FENCE.search(text)
    body = fenced[1] if fenced else text
    at = min((i for i in (body.find("{"), body.find("[")) if i >= 0), default=-1)
    if at < 0:
        return None
    try:
        value, end = json.JSONDecoder().raw_decode(body, at)
    except (ValueError, RecursionError):
        return None
    around = body[:at] + body[end:]
    return value if isinstance(value, (dict, list)) and value and len(around.strip()) <= 120 else None


def _differs(a: Any, b: Any, ordered: bool, path: str = "$") -> str | None:
    """Return where two JSON values differ, or None."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{path} has other keys"
        return next((d for k in a if (d := _differs(a[k], b[k], ordered, f"{path}.{k}"))), None)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path} has {len(a)} and {len(b)} items"
        if ordered or not all(isinstance(x, (str, int, float)) for x in a + b):
            return next(
                (
                    d
                    for i, (x, y) in enumerate(zip(a, b, strict=True))
                    if (d := _differs(x, y, ordered, f"{path}[{i}]"))
                ),
                None,
            )
        return None if sorted(map(str, a)) == sorted(map(str, b)) else f"{path} has other items"
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return None if a is b else path
    if isinstance(a, str) and isinstance(b, str):
        return None if light(a) == light(b) else path
    return None if isinstance(a, (int, float)) and isinstance(b, (int, float)) and a == b else path


def as_json(a: Said, b: Said) -> Finding | None:
    """JSON by value."""
    if "{" not in a.raw + b.raw and "[" not in a.raw + b.raw:
        return None
    ours, theirs = _parsed(a.raw), _parsed(b.raw)
    if ours is None or theirs is None:
        return None
    where = _differs(ours, theirs, order_matters(a.question))
    if where is None:
        return Finding("same value", "the same JSON value")
    return Finding("other value", f"JSON differs at {where}")


# ------------------------------------------------------------------------------ code


def as_code(a: Said, b: Said) -> Finding | None:
    """Code by its tokens."""
    ours, theirs = codes(a.raw), codes(b.raw)
    if not ours and not theirs:
        return None
    if not (ours and theirs):
        return _code_in_prose(a, b, ours, theirs)
    fenced = "```" in a.raw or is_code(a.raw) or "```" in b.raw or is_code(b.raw)
    if not fenced:
        if len(ours) == len(theirs) == 1 and max(len(a.raw), len(b.raw)) <= _SHORT_CODE:
            return None if tokens(ours[0]) == tokens(theirs[0]) else Finding("other code", "the code differs")
        return None  # words in code type within sentences: the other layers read them
    if any(same_code(x, y) for x in ours[:1] for y in theirs[:1]):
        return Finding("same code", "the same code")
    x, y = max(ours, key=len), max(theirs, key=len)
    if same_code(x, y):
        return Finding("same code", "the same code")
    blocks = "```" in a.raw and "```" in b.raw
    if blocks and (any(same_code(x, y) for y in theirs) or any(same_code(x, y) for x in ours)):
        return Finding("part code", "one of the pieces of code is the same")
    if min(len(tokens(x)), len(tokens(y))) <= _SMALL_CODE:
        return Finding("other code", "the code differs")
    return None


def _code_in_prose(a: Said, b: Said, ours: list[str], theirs: list[str]) -> Finding | None:
    """Compare code with a plain short answer: "pwd" and "```pwd```"."""
    code, other = (ours, b) if ours else (theirs, a)
    if len(other.text) <= 60 and tokens(code[0]) == tokens(other.raw):
        return Finding("same code", "the same code")
    return None


# ------------------------------------------------------------------------------ a choice


def _options(question: str) -> dict[str, str]:
    found = {label.lower(): text.strip(" ,;.") for label, text in _LABELLED.findall(question)}
    return found if len(found) > 1 else {}


def _chosen(said: Said, options: dict[str, str]) -> frozenset[str]:
    first = said.sentences[0] if said.sentences else ""
    match = _LETTER.match(said.text) or _LETTER.match(said.raw.strip().replace("*", ""))
    if match is not None and match[1].lower() in options:
        bare = said.text[match.end() :].strip()
        marked = match[0].rstrip()[-1] in ").:" or "(" in match[0]
        article = match[1] in "aA" and not marked and re.match(r"(?!only\b|and\b|alone\b|is\b)[a-z]", bare)
        if not article or _named(bare, options["a"]):
            return frozenset([match[1].lower(), *(x.lower() for x in re.findall(r"[A-H1-9]", match[2]))])
    named = re.findall(r"(?:option|answer(?: is)?:?|choice) \(?\**([A-Ha-h1-9])\b", said.text)
    if named:
        return frozenset(m.lower() for m in named) & options.keys()
    return frozenset(label for label, text in options.items() if _named(first, text))


def _named(text: str, option: str) -> bool:
    return bool(option) and bool(content(option)) and not missing(content(option), content(text))


def choice(a: Said, b: Said) -> Finding | None:
    """The same option of a question with choices."""
    options = _options(a.question)
    if not options:
        return None
    ours, theirs = _chosen(a, options), _chosen(b, options)
    if not ours or not theirs:
        return None
    shown = f"{'/'.join(sorted(ours))} and {'/'.join(sorted(theirs))}"
    return (
        Finding("same value", f"the same choice, {shown}")
        if ours == theirs
        else Finding("other value", f"choices {shown}")
    )


# ------------------------------------------------------------------------------ yes or no


def polarity(said: Said) -> int:
    """Return 1 for yes, -1 for no, 0 for neither or unknown."""
    text = said.text.strip()
    asked = asks_yes(said.question)
    if not text or _UNDECIDED.search(text[:120]) or not asked or re.search(r"\bor\b(?! false)", said.question):
        return 0
    if _NO.match(text):
        return -1
    if _YES.match(text):
        return 1
    return _implied(said)


def _implied(said: Said) -> int:
    """Return the side that a statement takes which repeats what was asked, or its opposite."""
    first = said.sentences[0]
    ours, left = content(first), missing(said.asked, content(first))
    negated = (len(_NOT_WORD.findall(first)) - len(_NOT_WORD.findall(said.question))) % 2 == 1
    opposed = opposites(read(first), read(said.question)) is not None
    pronoun = re.match(r"\W*(?:it|they|this|he|she)\b", first, re.IGNORECASE) is not None and len(ours) <= 3
    if len(left) > int(opposed) and not (pronoun and ours and not missing(ours, said.asked)):
        return 0
    return -1 if negated != opposed else 1


def yes_or_no(a: Said, b: Said) -> Finding | None:
    """The same side of a question that asks for yes or no."""
    ours, theirs = polarity(a), polarity(b)
    if not ours or not theirs:
        return None
    if ours != theirs:
        return Finding("other value", f"{'yes' if ours > 0 else 'no'} and {'yes' if theirs > 0 else 'no'}")
    if any(_is_bare(said) for said in (a, b)):
        return Finding("same side", f"both say {'yes' if ours > 0 else 'no'}")
    return None


def _is_bare(said: Said) -> bool:
    """Return whether an answer says yes or no, perhaps with the words of the question, and no more."""
    more = [w for w in said.new if w.stem not in NEGATIONS["en"] and w.stem not in _SIDES]
    return len(said.sentences) == 1 and not said.values and not more


_SIDES = words("yes no yeah yep nope true false tru fals correct right ja nein oui non sí si não")


# ------------------------------------------------------------------------------ lists


def as_list(a: Said, b: Said) -> Finding | None:
    """Lists of short items, in any order unless the order is part of the answer."""
    ours, theirs = items(a), items(b)
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        return _one_item(a, b, ours, theirs)
    alone, others, in_order = same_items(ours, theirs)
    if alone or others:
        lacking = alone or others
        if len(alone) + len(others) > 1 and not (alone and others) and max(len(ours), len(theirs)) < 3:
            return None
        return Finding("other items", f"only one list has {lacking[0][:40]!r}")
    if not in_order and order_matters(a.question, a.text, b.text):
        return Finding("other items", "the same items in another order")
    return Finding("same items", "the same items")


def _one_item(a: Said, b: Said, ours: list[str] | None, theirs: list[str] | None) -> Finding | None:
    """Compare a list with a single item: it lacks the others."""
    several, single = (ours, b) if ours else (theirs, a)
    if several is None or not single.is_short:
        return None
    amounts = single.values
    held = [item for item in several if _is_item(single, item)]
    if len(held) == 1 and single.new and not amounts:
        return Finding("other items", f"one of {len(several)} items")
    listed = [values(item) for item in several]
    if len(amounts) == 1 and not single.new and all(len(v) == 1 for v in listed):
        like = [v[0] for v in listed if (v[0].kind, v[0].unit) == (amounts[0].kind, amounts[0].unit)]
        if len(like) == len(several) and not all(agree(v, amounts[0]) for v in like):
            return Finding("other items", f"one of {len(several)} values")
    return None


def _is_item(single: Said, item: str) -> bool:
    return bool(single.new) and not missing(single.new, content(item)) and not missing(content(item), single.new)


RULES = (empty, as_json, written, refused, as_code, choice, yes_or_no, as_list, labels, named)
"""The rules, cheap and certain ones first."""
