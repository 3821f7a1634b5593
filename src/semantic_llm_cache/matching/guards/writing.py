"""Rules "accents" and "case": letters that an uncased model without accents cannot see."""

from __future__ import annotations

import unicodedata

from .base import Rule
from .lexicon import words
from .lexicon.names import FAMILIES
from .text import Reading

__all__ = ["ACCENTS", "CASE"]

# Words that lose their meaning with their accent. Elsewhere an accent left out in a prompt that has none at all
# is how people type ("cafe", "Sao Paulo").
_MINIMAL = words(
    "año años papá papás mamá sí él tú sé té más aún mí dé qué cuándo inglés esté está práctico público "
    "término médico peña caña cuña moño uña ñame campaña schön fördern drücken zählen hören könnte würde "
    "hätte wäre mütter töchter äpfel brüder schwül fällen öde où à là dû sûr mûr pêcher pécher côte côté "
    "tâche jeûne pâte pâté cote mémé mâle châsse forêt péché avô avó pôr pôde é às nós lá dá cá maçã coco "
    "cocô pais país sábia sabiá è però papà metà città sé né dà là lì tè pesca één vóór résumé exposé "
    "rosé lamé maté że są będę łaska sąd kąt pić być"
)
# Spanish question words lose theirs all the time; English writes loan words in several ways.
_OFTEN_BARE = words("como que cual cuales donde quien quienes cuando cuanto cuantos cuanta cuantas porque resume")
_MENTIONS = words(
    "mean means meaning say pronounce pronounced spell spelled word words translate translation letter "
    "significa bedeutet heißt signifie veut betekent znaczy значит"
)
_FOLDS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})


def _fold(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.translate(_FOLDS))
    return "".join(c for c in plain if not unicodedata.combining(c))


def _accented(reading: Reading) -> dict[str, set[str]]:
    """Return folded form -> its spellings, of the Latin-script words with a letter beyond a-z."""
    known: dict[str, set[str]] | None = reading.facts.get("accents")
    if known is None:
        known = {}
        for word in reading.words:
            if not word.isascii() and word[0] < "\u0250":
                known.setdefault(_fold(word), set()).add(word)
        reading.facts["accents"] = known
    return known


def _compare_accents(new: Reading, old: Reading) -> str | None:
    if new.text.isascii() and old.text.isascii():
        return None
    ours, theirs = _accented(new), _accented(old)
    if not ours and not theirs:
        return None
    for fold in sorted(ours.keys() | theirs.keys()):
        mine, others = ours.get(fold, set()), theirs.get(fold, set())
        if mine == others:
            continue
        if fold in _OFTEN_BARE:
            continue
        if mine and others:
            if not mine & others:
                return f"accents {min(mine)} != {min(others)}"
            continue
        accented, bare, spellings = (new, old, mine) if mine else (old, new, others)
        if fold not in bare.words:
            continue
        word = min(spellings)
        if fold in accented.words:
            continue  # both spellings stand in one prompt
        deliberate = bool(_accented(bare)) or not _MENTIONS.isdisjoint(bare.words)
        if deliberate or word in _MINIMAL:
            return f"accents {word} != {fold}" if mine else f"accents {fold} != {word}"
    return None


# --- case ---------------------------------------------------------------------------------------------

# In capitals a name, in small letters a word of every sentence.
_ACRONYMS = frozenset(("US", "IT", "WHO", "AIDS"))
_IT_NOUNS = words(
    "company companies sector industry job jobs field professional professionals department support "
    "engineer engineers manager service services career firm firms infrastructure security consultant "
    "consulting park hub student"
)
# With a capital a name or a nationality.
_PROPER = words(
    "polish turkey china march may august nice reading mobile lent job bill mark rose frank jack guinea cologne"
)
_AFTER_PRONOUN = words("tell give let help show teach of to for with about contact join from like between send call")


def _cases(reading: Reading) -> dict[str, set[str]]:
    """Return lower case -> the spellings of a word whose case may matter, without sentence starts."""
    known: dict[str, set[str]] | None = reading.facts.get("cases")
    if known is None:
        known = {}
        shouting = reading.text.isupper()
        fresh = True
        before = ""
        for at, (kind, piece, _) in enumerate(reading.tokens):
            if kind == "sym":
                fresh = fresh or piece in '.?!:"“'
                continue
            low = piece.lower()
            if kind == "word" and not shouting:
                if piece.upper() in _ACRONYMS:
                    if low == "it" and at + 1 < len(reading.tokens) and reading.tokens[at + 1][1].lower() in _IT_NOUNS:
                        continue  # "it companies": small letters, but the trade
                    if piece.isupper():
                        known.setdefault(low, set()).add("capitals")
                    elif low != "us" or reading.capitals or before in _AFTER_PRONOUN:
                        known.setdefault(low, set()).add("small")
                elif low in _PROPER and not fresh:
                    known.setdefault(low, set()).add("capital" if piece[0].isupper() else "lower")
            before = low
            fresh = False
        reading.facts["cases"] = known
    return known


def _compare_case(new: Reading, old: Reading) -> str | None:
    if not new.capitals and not old.capitals:
        return None
    ours = _cases(new)
    if not ours:
        return None
    theirs = _cases(old)
    for word in sorted(ours.keys() & theirs.keys()):
        mine, others = ours[word], theirs[word]
        if mine == others:
            continue
        if "capitals" in mine | others and "small" in mine | others and not mine & others:
            # All in small letters, a prompt says nothing by its case, save where a name makes no sense.
            small = old if "small" in others else new
            if not small.capitals and word not in ("it", "who", "us"):
                continue
            return f"case {_as_in(word, mine)} != {_as_in(word, others)}"
        if {"capital", "lower"} == mine | others and not mine & others:
            small = old if "lower" in others else new
            if small.capitals and not _sloppy(small, word):
                return f"case {_as_in(word, mine)} != {_as_in(word, others)}"
    return None


def _sloppy(reading: Reading, word: str) -> bool:
    """Return whether a prompt also writes other names in small letters."""
    return any(
        kind == "word" and piece.islower() and piece != word and (piece,) in FAMILIES["place"]
        for kind, piece, _ in reading.tokens
    )


def _as_in(word: str, ways: set[str]) -> str:
    if "capitals" in ways:
        return word.upper()
    return word.capitalize() if "capital" in ways else word


ACCENTS = Rule("accents", _compare_accents, _accented)
CASE = Rule("case", _compare_case, _cases)
