"""An answer as text: what it says without the wrapping, its sentences, and its words of content."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from semantic_llm_cache.values.encoding import dumps, thaw

__all__ = ["answer_text", "chunks", "core", "light", "plain", "sentences"]

_MARKS = re.compile(r"[\s\"'`*_.,;:!?()\[\]{}]+")
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_LINE_MARK = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|[-=]>[ \t]*|→[ \t]*|[-*•+–][ \t]+|>[ \t]?|\(?\d{1,2}[.)][ \t]+|"
    r"[-=_*]{3,}[ \t]*$)",
    re.MULTILINE,
)
_EMPHASIS = re.compile(r"(\*\*|__|\*|`|~~)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\s]+\)")
# Wrapping that carries no claim: what a model says before and after what was asked for.
_OPENING = re.compile(
    r"\s*(?:(?:sure(?: thing)?|certainly|absolutely|of course|great(?: question)?|good question|(?:what a "
    r")?(?:great|good|nice) "
    r"question|no problem|okay|ok|alright|happy to help|i'?d be (?:happy|glad|delighted) to(?: help(?: with "
    r"that)?)?|gladly|"
    r"got it|understood|let me (?:see|think|check|classify this)|thanks? (?:you )?for (?:asking|your question)|klar|"
    r"gerne|natürlich|bien sûr|claro|por "
    r"supuesto|certo|certamente)"
    r"(?:[!.,:–—-]+\s*|\s*$))+",
    re.IGNORECASE,
)
_HERE = re.compile(
    r"\s*(?:here(?:'s| is| are| you go)|below is|below are|this is|the following is|hier ist|hier sind|voici|aquí "
    r"(?:está|tienes)"
    r"|ecco)\b[^.!?\n]{0,90}?:\s*",
    re.IGNORECASE,
)
_ANSWER_IS = re.compile(
    r"\s*(?:so,? |therefore,? |thus,? |hence,? )?(?:(?:the|your|my|final|correct|short|right|best) )*"
    r"(?:answer|result|solution|output|response|antwort|réponse|respuesta|risposta|resposta)"
    r"(?: (?:here|to (?:your|this|the) question))?\s*(?:is|would be|ist|est|es|è|é|:|=)\s*:?\s*(?=\S)",
    re.IGNORECASE,
)
_DISCOURSE = re.compile(
    r"\s*(?:well|so|right|okay|ok|in short|to sum up|in summary|in (?:my|our) (?:view|opinion)|overall|basically|"
    r"actually|"
    r"(?:based on|looking at|judging by|after reading|given) [^,.:\n]{3,50})[,:]\s+(?=\S)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\s*(?:i hope (?:this|that|it)[^.!?\n]{0,40}helps?[^.!?\n]{0,30}[.!]*|hope (?:this|that|it) "
    r"helps[^.!?\n]{0,30}[.!]*|let me know if "
    r"[^\n]*|feel free to [^\n]*|is there anything else [^\n]*|if you (?:have|need) (?:any|more|further) [^\n]*"
    r"(?:let me know|ask|help)[^\n]*|happy [a-z]+ing!|enjoy!?|good luck[^.!\n]{0,30}[.!]*)\s*$",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\s*([^\W\d_][\w /-]{0,40}?)\s*[:=]\s+(?=\S)")
_LABELS = frozenset(
    [
        "answer",
        "result",
        "category",
        "label",
        "class",
        "sentiment",
        "intent",
        "title",
        "final",
        "output",
        "topic",
        "language",
        "translation",
        "summary",
        "response",
        "classification",
        "type",
        "name",
        "value",
        "score",
        "verdict",
        "option",
        "choice",
    ]
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|eg|ie|no|fig|al|inc|ltd|jr|sr|approx|ca|z\.b|bzw|u\.s|a\.m|"
    r"p\.m)|\b[a-z])\.$",
    re.IGNORECASE,
)
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？])|\n+")
_LONGEST = 400


def light(text: str) -> str:
    """Return `text` without what two runs of one model may write differently: case, space, end marks.

    Example:
        >>> light(" Paris. ") == light("paris")
        True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _MARKS.sub(" ", folded).strip()


def answer_text(response: Any) -> str:
    """Return an answer as text to compare: itself, its message's content, or its stored form."""
    value = thaw(response)
    if isinstance(value, str):
        return value
    for path in (("choices", 0, "message", "content"), ("content", 0, "text"), ("message", "content"), ("content",)):
        found = value
        for step in path:
            try:
                found = found[step] if isinstance(step, int) or isinstance(found, dict) else getattr(found, step)
            except (AttributeError, KeyError, IndexError, TypeError):
                found = None
                break
        if isinstance(found, str) and found:
            return found
    try:
        return dumps(value)
    except Exception:
        return repr(value)


def plain(text: str) -> str:
    """Return `text` without markdown: fences, headings, bullets, numbers of list items, emphasis, links.

    Example:
        >>> plain("# Cities\\n- **Paris**\\n- Rome")
        'Cities\\nParis\\nRome'
    """
    text = unicodedata.normalize("NFKC", text).replace("\r\n", "\n")
    text = text.replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')
    text = _FENCE.sub(lambda m: "\n" + m[1] + "\n", text)
    text = _LINE_MARK.sub("", text)
    text = _LINK.sub(r"\1", text)
    for _ in range(2):
        text = _EMPHASIS.sub(r"\2", text)
    return text.strip()


def core(text: str, question: str = "") -> str:
    """Return a plain text without openings ("Sure! Here is ..."), closings, and a label that only names the task.

    Example:
        >>> core("Sure! Here is a title: Bees")
        'Bees'
    """
    kept = text.strip()
    for pattern in (_OPENING, _DISCOURSE, _HERE, _ANSWER_IS):
        rest = pattern.sub("", kept, count=1) if pattern.match(kept) else kept
        kept = rest if rest.strip() else kept
    label = _LABEL.match(kept)
    if label is not None and kept[label.end() :].strip():
        known = _LABELS | set(re.findall(r"\w+", question.casefold()))
        named = re.findall(r"\w+", label[1].casefold())
        if len(named) <= 3 and all(word in known or word in ("the", "of", "is", "a") for word in named):
            kept = kept[label.end() :]
    shorter = _CLOSING.sub("", kept)
    return (shorter if shorter.strip() else kept).strip().strip('"').strip()


def sentences(text: str) -> list[str]:
    """Split plain text into sentences and lines; an overlong one is cut at spaces, so that nothing is lost.

    Example:
        >>> sentences("It is 3.5 km. Take Dr. Low's car.")
        ['It is 3.5 km.', "Take Dr. Low's car."]
    """
    found: list[str] = []
    held = ""
    at = 0
    for match in [*_END.finditer(text), None]:
        piece = text[at : len(text) if match is None else match.start()]
        at = len(text) if match is None else match.end()
        held = f"{held} {piece.strip()}" if held else piece.strip()
        if match is not None and "\n" not in match[0] and _ABBREVIATION.search(held):
            continue
        if held:
            found += chunks(held, _LONGEST)
        held = ""
    return found


def chunks(text: str, most: int) -> list[str]:
    """Cut `text` at spaces into parts of up to `most` characters."""
    parts = []
    while len(text) > most:
        at = text.rfind(" ", most // 2, most)
        at = most if at < 0 else at
        parts.append(text[:at].strip())
        text = text[at:].strip()
    return [*parts, text] if text else parts
