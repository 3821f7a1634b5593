"""Rule "labels": a letter, a roman numeral or a short code that says which of several things is meant."""

from __future__ import annotations

import re

from .base import Rule
from .lexicon import in_order, words
from .lexicon.numerals import UNITS
from .text import Reading, stem

__all__ = ["LABELS"]

# What a label usually follows. A label after another word counts only when both prompts have one.
_LABELLED = words(
    "hepatitis influenza flu vitamin vitamins group groups team section sections paragraph article chapter part volume "
    "appendix exhibit annex figure table schedule form plan option model type types class category grade level phase "
    "stage step gate terminal platform track line bus route zone area block building room unit wing floor seat row "
    "version series serie liga league omega factor factors schema scheme size clause column point item test exam "
    "visa license licence usb blood cell cells corporation war king queen pope henry george louis charles elizabeth "
    "vitamine vitamines vitamina gruppe klasse typ groupe classe grupo clase tipo gruppo"
)
_NUMERALS = in_order("I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX")
_ROMAN = {numeral: str(value) for value, numeral in enumerate(_NUMERALS, 1)}
# After a number: "15 Pro" is another product than "15".
_SUFFIXES = words("pro max plus ultra ti super mini lite air xl fe")
_STEPS = words("k m b t bn mn st nd rd th s am pm")
_PRONOUN = "I"
# What may be a label: most prompts hold nothing of the kind.
_CANDIDATE = re.compile(r"\b(?:[B-HJ-Z]|A(?!\w)|[A-Z]{2}|[XVI]{1,5}|[b-hj-z])\b")

# Na+, Fe2+, H2O2, CO2, W-2, H-1B, 4A, S24
_FORMULA = re.compile(r"(?<![\w.+-])(?:[A-Z][a-z]?\d{0,3}){1,6}\d?[+-]?(?![\w+-])")
_CODE = re.compile(r"(?<![\w.,/+-])(?:[A-Za-z]{1,3}-?\d{1,4}[A-Za-z]{0,2}|\d{1,4}-?[A-Za-z]{1,2})(?![\w/+-])")


def _labels(reading: Reading) -> dict[str, str]:
    """Return label -> the stem of the word before it ("" when none counts)."""
    known: dict[str, str] | None = reading.facts.get("labels")
    if known is None:
        may = not reading.cjk and _CANDIDATE.search(reading.text) is not None
        known = reading.facts["labels"] = _find(reading) if may else {}
    return known


def _find(reading: Reading) -> dict[str, str]:
    found: dict[str, str] = {}
    tokens = reading.tokens
    english = reading.language == "en"
    shouting = reading.text.isupper()
    for at, (kind, piece, _) in enumerate(tokens):
        if kind != "word" or len(piece) > 5:
            continue
        before, joined = _before(tokens, at)
        after_noun = before in _LABELLED
        if piece in _ROMAN and (after_noun or (before and len(piece) > 1) or _named(tokens, at)):
            if piece != _PRONOUN or after_noun or _named(tokens, at):
                found[_ROMAN[piece]] = stem(before, english)
        elif len(piece) == 1 and _is_letter(piece, at, after_noun or joined, english, shouting):
            found[piece.lower()] = stem(before, english) if before else ""
        elif after_noun and len(piece) <= 2 and piece.isupper() and not shouting:
            found[piece.lower()] = stem(before, english)
    return found


def _before(tokens: list[tuple[str, str, int]], at: int) -> tuple[str, bool]:
    """Return the word before a token, over a hyphen or a slash, and whether one of these joins them."""
    joined = at > 0 and tokens[at - 1][1] in "-/"
    place = at - 1 - joined
    return (tokens[place][1].lower(), joined) if place >= 0 and tokens[place][0] == "word" else ("", joined)


def _named(tokens: list[tuple[str, str, int]], at: int) -> bool:
    """Return whether a capitalised word that does not begin the prompt comes right before: "World War I"."""
    return at > 1 and tokens[at - 1][0] == "word" and tokens[at - 1][1][0].isupper() and len(tokens[at - 1][1]) > 1


def _is_letter(piece: str, at: int, expected: bool, english: bool, shouting: bool) -> bool:
    if piece.isupper() and not shouting:
        return piece != _PRONOUN and (piece != "A" or (at > 0 and expected) or (at > 0 and english)) and at > 0
    return expected and english and piece not in ("a", "i", "s", "t")


def _compare_letters(new: Reading, old: Reading) -> str | None:
    ours, theirs = _labels(new), _labels(old)
    if ours.keys() == theirs.keys():
        return None
    only_new = [label for label, noun in ours.items() if label not in theirs and not _elsewhere(label, noun, old)]
    only_old = [label for label, noun in theirs.items() if label not in ours and not _elsewhere(label, noun, new)]
    if only_new and only_old:
        return f"label {_shown(ours, only_new[0])} != {_shown(theirs, only_old[0])}"
    for labels, only, other, where in (
        (ours, only_new, old, "not in the stored prompt"),
        (theirs, only_old, new, "only in the stored prompt"),
    ):
        for label in only:
            if labels[label] in other.bag and labels[label] in _LABELLED:
                return f"label {_shown(labels, label)} {where}"
    return None


def _elsewhere(label: str, noun: str, other: Reading) -> bool:
    """Return whether the other prompt has the label in another form: 2 for II, a small letter."""
    if label.isdigit():
        return re.search(rf"(?<!\d){label}(?!\d)", other.text) is not None
    if label in ("a", "i"):  # words of their own, save right after the noun: "hepatitis a"
        return bool(noun) and f"{noun} {label}" in " ".join(other.stems)
    return label in other.vocabulary


def _shown(labels: dict[str, str], label: str) -> str:
    shown = label.upper()
    return f"{labels[label]} {shown}" if labels[label] in _LABELLED else shown


# --- codes and formulas -------------------------------------------------------------------------------


def _codes(reading: Reading) -> dict[str, str]:
    """Return compared form -> as written, of short codes and formulas: h2o2, na+, 4a, s24."""
    known: dict[str, str] | None = reading.facts.get("codes")
    if known is None:
        known = {}
        if reading.has_number or "+" in reading.text:
            for pattern in (_FORMULA, _CODE):
                for match in pattern.finditer(reading.text):
                    piece = match.group()
                    if _is_code(piece):
                        known[piece.lower().replace("-", "") if piece[-1] not in "+-" else piece.lower()] = piece
        reading.facts["codes"] = known
    return known


def _is_code(piece: str) -> bool:
    letters = piece.rstrip("0123456789+-").lstrip("0123456789-").lower()
    if piece[0].isdigit() and (letters in UNITS or letters in _STEPS):
        return False  # 5kg, 10ms and 30k are quantities
    return (
        any(c.isdigit() for c in piece) or piece[-1] in "+" or (len(piece) > 1 and piece.isupper() and len(piece) <= 3)
    )


def _root(code: str) -> str:
    return "".join(c for c in code if c.isalpha())


def _compare_codes(new: Reading, old: Reading) -> str | None:
    ours, theirs = _codes(new), _codes(old)
    if ours.keys() == theirs.keys():
        return None
    found = _facing(ours, theirs, old)
    if found is not None:
        return f"label {found[0]} != {found[1]}"
    found = _facing(theirs, ours, new)
    return None if found is None else f"label {found[1]} != {found[0]}"


def _facing(codes: dict[str, str], others: dict[str, str], other: Reading) -> tuple[str, str] | None:
    """Return a code and what the other prompt names in its place, or None."""
    text = other.squashed.replace("-", "")
    for code, shown in codes.items():
        if code in others or not any(c.isdigit() or c == "+" for c in code):
            continue
        if code in text and not any(code in longer for longer in others):
            continue
        for there, written in others.items():
            if there not in codes and _alike(code, there):
                return shown, written
        bare = _bare(code, shown, other)
        if bare is not None:
            return shown, bare
    return None


def _alike(a: str, b: str) -> bool:
    """Return whether two codes name things of one series: the same letters, or the same digits with other letters."""
    if _root(a) == _root(b) or (_root(a) in _root(b) or _root(b) in _root(a)):
        return True
    return bool(re.sub(r"\D", "", a)) and re.sub(r"\D", "", a) == re.sub(r"\D", "", b)


def _bare(code: str, shown: str, other: Reading) -> str | None:
    """Return the code without its sign, number or letter as the other prompt has it: Na (Na+), CO (CO2), 4 (4A)."""
    if digits := re.match(r"\d+(?=[a-z]{1,2}$)", code):
        pattern = rf"(?<![\w.]){digits.group()}(?![\w.]|\s*%)"
    elif shown[0].isupper():
        pattern = rf"(?<![\w+]){re.escape(shown.rstrip('0123456789+-'))}(?![\w+-])"
    else:
        return None
    found = re.search(pattern, other.text, re.IGNORECASE if code[-1] == "+" else 0)
    return found and found.group()


# --- 15 and 15 Pro ------------------------------------------------------------------------------------


def _suffixes(reading: Reading) -> dict[str, str]:
    """Return number or code -> what follows it ("pro", "max"; "" for nothing)."""
    known: dict[str, str] | None = reading.facts.get("suffixes")
    if known is None:
        known = {}
        if reading.has_number:
            tokens = reading.tokens
            for at, (kind, piece, _) in enumerate(tokens):
                if kind == "num":
                    rest = []
                    for after in tokens[at + 1 : at + 3]:
                        if after[1].lower() not in _SUFFIXES:
                            break
                        rest.append(after[1].lower())
                    known[piece] = " ".join(rest)
        reading.facts["suffixes"] = known
    return known


def _compare_suffixes(new: Reading, old: Reading) -> str | None:
    if _SUFFIXES.isdisjoint(new.vocabulary) and _SUFFIXES.isdisjoint(old.vocabulary):
        return None
    ours, theirs = _suffixes(new), _suffixes(old)
    for number in ours.keys() & theirs.keys():
        mine, yours = ours[number], theirs[number]
        shorter, longer = (old, mine) if len(mine) > len(yours) else (new, yours)
        if mine != yours and number + longer.replace(" ", "") not in shorter.squashed:
            return f"label {number} {mine}".rstrip() + f" != {number} {yours}".rstrip()
    return None


def _compare(new: Reading, old: Reading) -> str | None:
    return _compare_codes(new, old) or _compare_letters(new, old) or _compare_suffixes(new, old)


def _concerns(reading: Reading) -> bool:
    may_have_suffix = reading.has_number and not _SUFFIXES.isdisjoint(reading.vocabulary)
    return may_have_suffix or bool(_codes(reading) or _labels(reading))


LABELS = Rule("labels", _compare, _concerns)
