"""Answers that are none: refusals, "I don't know", and answers that leave the question open."""

from __future__ import annotations

import re

__all__ = ["is_open", "is_refusal"]

_I = r"(?:i(?:'m| am)?|we(?:'re| are)?|as an? (?:ai|language model|assistant)[^.]{0,40}?,? i(?:'m| am)?)"
_REFUSAL = re.compile(
    rf"\b{_I} (?:(?:really|simply|just|also|currently|unfortunately) )?(?:can't|cannot|can not|could not|couldn't|"
    rf"won't|will not|am not able to|"
    r"not able to|unable to|not allowed to|not permitted to|not in a position to|don't have|do not have|have no|"
    r"don't know|"
    r"do not know|lack|must decline|have to decline|decline|not comfortable|not qualified|am not sure|not aware of|"
    r"not familiar with|"
    r"not certain|not sure)\b"
    r"|\b(?:no idea|beyond my (?:abilities|capabilities|knowledge)|not something i can|against my (?:guidelines|"
    r"policy)|"
    r"(?:unable|not possible) (?:for me )?to (?:answer|help|provide|assist)|please (?:paste|provide|share|upload|"
    r"attach) (?:the|your|it|more)|"
    r"not enough (?:information|context)|insufficient (?:information|context)|content policy|request (?:was|is) "
    r"(?:blocked|refused|declined))\b"
    r"|\bich (?:kann|darf|weiß|weiss|möchte)\b[^.]{0,60}\bnicht\b|\bich weiß es nicht\b|\bje ne (?:peux|sais|"
    r"suis)\b[^.]{0,40}\bpas\b"
    r"|\bno (?:puedo|sé|tengo)\b|\bnão (?:posso|sei|tenho)\b|\bnon (?:posso|so|ho)\b|\b(?:lo siento|désolé|es tut "
    r"mir leid|mi dispiace|desculpe)\b"
    r"|申し訳|できません|分かりません|わかりません|对不起|抱歉|无法|не могу|не знаю|извините",
    re.IGNORECASE,
)
_SORRY = re.compile(
    r"^\s*(?:i'?m |i am )?(?:very |so |really )?(?:sorry|afraid)\b|^\s*(?:i )?apologi[sz]e|^\s*unfortunately,? i\b",
    re.IGNORECASE,
)
_YET = re.compile(
    r"\b(?:but|however|that said|nevertheless|nonetheless|here (?:is|are)|instead,? (?:i can|here))\b", re.IGNORECASE
)
_OPEN = re.compile(
    r"^\W*(?:well,? )?(?:it|that|this|the answer)? ?(?:really |largely |all )?(?:depends|varies)\b|\bthere is no "
    r"(?:single|one|clear|definite|right|best)\b|"
    r"\b(?:either|might be|may be|could be)\b[^.]*\bor\b|\bi(?:'m| am) not (?:sure|certain)\b|\bnot (?:entirely "
    r")?(?:sure|certain|clear)\b|"
    r"\bhard to say\b|\bnobody knows\b|\bit is (?:unknown|unclear|disputed|debated)\b",
    re.IGNORECASE,
)
_LONG = 350


def is_refusal(text: str) -> bool:
    """Return whether an answer refuses, or says that it does not know, and gives nothing else.

    Example:
        >>> is_refusal("I'm sorry, but I can't help with that.")
        True
        >>> is_refusal("Penguins cannot fly.")
        False
    """
    if len(text) > _LONG:
        return False
    found = _REFUSAL.search(text)
    if found is None:
        return bool(_SORRY.search(text)) and len(text) < 120
    if found.start() > 120:
        return False
    turn = _YET.search(text, found.end())
    return turn is None or len(text) - turn.end() < 40


def is_open(text: str) -> bool:
    """Return whether an answer leaves the question open: "it depends", "either A or B", "not sure"."""
    return len(text) <= _LONG and _OPEN.search(text) is not None
