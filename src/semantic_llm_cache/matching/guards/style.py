"""Rules "format", "language" and "question": what kind of answer is asked for."""

from __future__ import annotations

import re

from .base import Rule
from .lexicon import words
from .lexicon.languages import ANSWER_LANGUAGES, CJK_LANGUAGES, CONTENTLESS
from .text import Reading

__all__ = ["FORMAT", "LANGUAGE", "QUESTION"]

_KINDS = (
    "json|yaml|xml|csv|html|markdown|latex|table|tabelle|tableau|tabla|tabela|tabella|tabel|spreadsheet|"
    "bullet points?|bullets?|bulleted list|"
    "numbered list|list|liste|lista|haiku|poem|gedicht|poème|poema|poesia|limerick|sonnet|rap|song|tweet|"
    "email|e-mail|letter|essay|paragraph|"
    "one sentence|a single sentence|single sentence|one line|single line|one word|single word|one paragraph|"
    "plain text|code|pseudocode|diagram|chart|graph|tabelę|таблицы|таблице|списка|список"
)
_SAME_KIND = {
    "bullet point": "bullets", "bullet points": "bullets", "bullet": "bullets", "bulleted list": "bullets",
    "list": "bullets", "liste": "bullets", "lista": "bullets", "списка": "bullets", "список": "bullets",
    "numbered list": "numbered list",
    "tabelle": "table", "tableau": "table", "tabla": "table", "tabela": "table", "tabella": "table", "tabel": "table",
    "tabelę": "table", "таблицы": "table", "таблице": "table", "spreadsheet": "table",
    "a single sentence": "one sentence", "single sentence": "one sentence", "single line": "one line",
    "single word": "one word", "gedicht": "poem", "poème": "poem", "poema": "poem", "poesia": "poem",
    "e-mail": "email", "graph": "chart",
}  # fmt: skip
_SHAPE = re.compile(
    r"\b(?:as|in|into|to|using|with|als|in form|en|sous forme|como|em|come|jako|w formie|в виде|в формате|"
    r"return|returns?|output|format|"
    r"write|give(?: me)?|make|create|draft|compose|schreib\w*|écris|escribe|escreva|scrivi|schrijf|napisz|"
    r"напиши)"
    r"(?: (?:a|an|the|me|us|valid|only|short|form of|form|format|einer?|einen?|une?|de|d'|una?|um|uma|een|"
    r"of|nur|un))*"
    rf" ({_KINDS})\b(?! of contents)"
)
# "in" with one of these nouns is hardly ever a wish for a format ("in code review", "to list files").
_NOT_AFTER = re.compile(
    r"\b(?:to|in|with|make|using|create) (?:a |an |the |my )?"
    r"(?:list|code|song|letter|email|graph|chart|html|table|paragraph)\b"
)
_BARE_KIND = re.compile(r"\b(json|yaml|xml|csv|markdown|haiku|limerick|sonnet)\b(?: (?:format|only|output))?\s*[.?!]*$")
_CJK_SHAPES = {
    "表格": "table", "表で": "table", "表形式": "table", "列表": "bullets", "箇条書き": "bullets", "要点": "bullets",
    "一句话": "one sentence", "一文で": "one sentence", "诗": "poem", "俳句": "haiku", "邮件": "email",
}  # fmt: skip

_DEPTHS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "simple",
        re.compile(
            r"\b(?:in (?:very )?(?:simple|plain|layman'?s?|easy|simpler|basic)(?: (?:terms?|words?|"
            r"language|english))?|"
            r"simply explain|explain(?:ed)? simply|(?:like|as if) i'?m a (?:child|kid|beginner)|like i'?m (?:five|"
            r"5)|like i am (?:five|5)|eli5|"
            r"to a (?:child|kid|five|5|beginner|layman)|einfach erklärt|in einfachen worten|"
            r"einfach\b(?= erkl)|"
            r"en termes simples|simplement|en términos sencillos|em termos simples|in parole semplici|"
            r"in eenvoudige (?:woorden|taal)|"
            r"prostymi słowami|prosto|простыми словами)\b|簡単に|简单地?|通俗"
        ),
    ),
    (
        "expert",
        re.compile(r"\b(?:(?:like|as if) i'?m an expert|like i am an expert|to an expert|for (?:an )?experts?)\b"),
    ),
    (
        "short",
        re.compile(
            r"\b(?:briefly|in brief|in short|concisely|succinctly|in a nutshell|in a few words|"
            r"in few words|tl;?dr|keep it short|"
            r"(?:short|brief|concise|quick) (?:summary|answer|explanation|overview|version|description)|"
            r"in (?:one|a single|two|three|a few|\d+) (?:sentences?|words?|lines?|paragraphs?)|kurz|knapp|"
            r"in einem satz|"
            r"brièvement|en bref|en une phrase|brevemente|en pocas palabras|en una frase|"
            r"em poucas palavras|em uma frase|resumidamente|"
            r"in breve|in una frase|kort|in één zin|in een zin|krótko|w skrócie|w jednym zdaniu|кратко|"
            r"вкратце|в одном предложении)\b"
            r"|简短|简要|一句话|簡潔に|手短に|一言で|一文で"
        ),
    ),
    (
        "detailed",
        re.compile(
            r"\b(?:in (?:great |more |full |much )?detail|detailed(?:ly)?|thoroughly|comprehensively|"
            r"at length|extensively|"
            r"with (?:all )?(?:the )?details|(?:long|full|complete) (?:answer|explanation)|ausführlich|"
            r"detailliert|im detail|"
            r"en détail|détaillée?|en detalle|detalladamente|em detalhes?|detalhadamente|in dettaglio|"
            r"dettagliatamente|"
            r"uitgebreid|in detail|gedetailleerd|szczegółowo|подробно|детально)\b|详细|詳しく|詳細に|仔细"
        ),
    ),
    (
        "simple",
        re.compile(
            r"\b(?:explain|describe|summari[sz]e)\b.*\bfor (?:a )?(?:beginners?|dummies|laym[ae]n|kids|children)\b"
        ),
    ),
    ("detailed", re.compile(r"\b(?:explain|describe|discuss|tell|write|give)\b.*\b(?:in[ -]depth|comprehensive)\b")),
    (
        "step by step",
        re.compile(
            r"\b(?:step[- ]by[- ]step|schritt für schritt|étape par étape|paso a paso|passo a passo|stap voor stap|"
            r"krok po kroku|пошагово)\b"
        ),
    ),
)


# No pattern above can match a prompt that has none of its words.
_KIND_WORDS = frozenset(re.findall(r"[^\W\d_]+", _KINDS)) | {"points", "point", "bullets", "mail", "tsv"}
_DEPTH_WORDS = frozenset(w for _, pattern in _DEPTHS for w in re.findall(r"[^\W\d_]{2,}", pattern.pattern)) - words(
    "in to as it like en em de pour por per di van for great more full much one or the with all word words very if"
) | words(
    "detailed details detalhe detalhes terms terme sentence sentences line lines paragraph paragraphs "
    "depth layman laymen laymans word words worden zin summarise summarize eli summary answer explanation "
    "overview version description brief briefly short concisely detail detailliert détaillée détaillé "
    "tldr tl dr nutshell few"
)


def _shapes(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("shapes")
    if known is None:
        low = reading.lower
        found = set()
        for match in () if _KIND_WORDS.isdisjoint(reading.vocabulary) else _SHAPE.finditer(low):
            kind = match.group(1)
            if _NOT_AFTER.search(match.group()) and not low.rstrip(" .?!").endswith(kind):
                continue
            found.add(_SAME_KIND.get(kind, kind))
        bare = None if _KIND_WORDS.isdisjoint(reading.vocabulary) else _BARE_KIND.search(low)
        if bare:
            found.add(bare.group(1))
        if reading.cjk:
            found.update(shape for word, shape in _CJK_SHAPES.items() if word in low)
        known = reading.facts["shapes"] = frozenset(found)
    return known


def _depths(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("depths")
    if known is None:
        if _DEPTH_WORDS.isdisjoint(reading.vocabulary) and not reading.cjk:
            known = frozenset()
        else:
            low = reading.lower
            known = frozenset(name for name, pattern in _DEPTHS if pattern.search(low))
        reading.facts["depths"] = known
    return known


def _compare_format(new: Reading, old: Reading) -> str | None:
    ours, theirs = _shapes(new), _shapes(old)
    if ours != theirs:
        only_new, only_old = ours - theirs, theirs - ours
        only_new = frozenset(k for k in only_new if k not in old.squashed)
        only_old = frozenset(k for k in only_old if k not in new.squashed)
        if only_new and only_old:
            return f"format {min(only_new)} != {min(only_old)}"
        if only_new:
            return f"format {min(only_new)} not in the stored prompt"
        if only_old:
            return f"format {min(only_old)} only in the stored prompt"
    ours, theirs = _depths(new), _depths(old)
    if ours != theirs:
        only_new, only_old = ours - theirs, theirs - ours
        if only_new and only_old:
            return f"format {min(only_new)} != {min(only_old)}"
        asked, where = (only_new, "not in") if only_new else (only_old, "only in")
        if asked and asked != {"step by step"} and not (ours and theirs):
            return f"format {min(asked)} {where} the stored prompt"
    return None


# --- answer language ----------------------------------------------------------------------------------

_IN_LANGUAGE = re.compile(
    r"\b(?:in|into|to|auf|ins|en|in het|em|para o|para|po|na|på|al|in lingua|по|на)(?: the)?(?: simple|"
    r" plain| easy)? ("
    + "|".join(sorted(map(re.escape, ANSWER_LANGUAGES), key=len, reverse=True))
    + r")\b(?! (?:food|cuisine|people|history|class|men|women|culture|government|army|football|society|restaurant))"
)
_LANGUAGE_WORDS = frozenset(ANSWER_LANGUAGES)
_CJK_LANGUAGE = re.compile(
    "(?:用|以|成|译成|翻译成|翻译为|)(" + "|".join(CJK_LANGUAGES) + ")(?:で|に|怎么|回答|解释|说|写|)"
)


def _languages(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("languages")
    if known is None:
        low = reading.lower
        speaks = not _LANGUAGE_WORDS.isdisjoint(reading.vocabulary)
        found = {ANSWER_LANGUAGES[m] for m in _IN_LANGUAGE.findall(low)} if speaks else set()
        if reading.cjk:
            found.update(CJK_LANGUAGES[m] for m in _CJK_LANGUAGE.findall(low))
        known = reading.facts["languages"] = frozenset(found)
    return known


def _compare_language(new: Reading, old: Reading) -> str | None:
    ours, theirs = _languages(new), _languages(old)
    if ours == theirs:
        return None
    only_new = sorted(k for k in ours - theirs if not _mentions(old, k))
    only_old = sorted(k for k in theirs - ours if not _mentions(new, k))
    if only_new and only_old:
        return f"language {only_new[0]} != {only_old[0]}"
    if only_new and only_new[0] != _spoken(new):
        return f"language {only_new[0]} not in the stored prompt"
    if only_old and only_old[0] != _spoken(old):
        return f"language {only_old[0]} only in the stored prompt"
    return None


def _spoken(reading: Reading) -> str:
    """Return the language in which this prompt is answered if it asks for none."""
    return {"en": "english", "de": "german", "fr": "french", "es": "spanish", "pt": "portuguese", "it": "italian",
            "nl": "dutch", "pl": "polish", "ru": "russian"}.get(reading.language, "")  # fmt: skip


def _mentions(reading: Reading, language: str) -> bool:
    return any(ANSWER_LANGUAGES.get(w) == language for w in reading.words)


# --- question words -----------------------------------------------------------------------------------

_QUESTION = re.compile(
    r"\b(how many|how much|how long|how old|how far|how often|how tall|how big|how deep|how fast|"
    r"how heavy|how come|"
    r"what time|what year|what day|what date|what place|what country|who|whom|whose|when|where|why|how|"
    r"what|which)\b"
)
_ASKS = {
    "what time": "when", "what year": "when", "what day": "when", "what date": "when", "what place": "where",
    "what country": "where", "whom": "who", "how come": "why", "how much": "how many", "which": "what",
}  # fmt: skip
_STRICT = frozenset(("who", "when", "where", "why", "how many", "how long", "how old", "how far", "how often"))
_NAMED_ASKS = {
    "when": frozenset(("tim", "dat", "day", "year", "month")),
    "where": frozenset(("plac", "city", "country", "locat", "location", "sit")),
    "who": frozenset(("person", "name", "nam")),
    "why": frozenset(("reason", "cause", "caus")),
}
_LOOSE_PAIRS = frozenset(
    frozenset(pair.split("/"))
    for pair in ("where/how", "what/how", "how/how many", "how long/how many", "when/how long")
)


def _question(reading: Reading) -> tuple[str, frozenset[str]]:
    """Return the one question word of a prompt ("" when there are several or none), and the words it is made of."""
    known: tuple[str, frozenset[str]] | None = reading.facts.get("question")
    if known is None:
        asked = set(_QUESTION.findall(reading.lower)) if reading.language == "en" else set()
        asks = {_ASKS.get(m, m) for m in asked}
        # "How much is the fee" and "what is the fee" are one question, "how many fees" is another.
        ask = "what" if asked == {"how much"} else next(iter(asks)) if len(asks) == 1 else ""
        known = reading.facts["question"] = (ask, frozenset(w for m in asked for w in m.split()))
    return known


def _content(reading: Reading, without: frozenset[str]) -> frozenset[str]:
    return frozenset(
        s for w, s in zip(reading.words, reading.stems, strict=True) if w not in CONTENTLESS and w not in without
    )


def _compare_question(new: Reading, old: Reading) -> str | None:
    (ours, said), (theirs, also) = _question(new), _question(old)
    if not ours or not theirs or ours == theirs:
        return None
    words = _content(new, said)
    if words != _content(old, also):
        return None
    if {ours, theirs} == {"where", "what"} and (len(words) > 4 or "best" in words):
        return None  # "where is the best repair shop" is "which is the best repair shop"
    for word, noun in _NAMED_ASKS.items():
        if word in (ours, theirs) and not noun.isdisjoint(words):
            return None  # "when is the best time" and "what is the best time"
    if not {ours, theirs} & _STRICT or frozenset((ours, theirs)) in _LOOSE_PAIRS:
        return None
    return f"question {ours} != {theirs}"


FORMAT = Rule("format", _compare_format, lambda reading: _shapes(reading) or _depths(reading))
LANGUAGE = Rule("language", _compare_language, _languages)
QUESTION = Rule("question", _compare_question)
