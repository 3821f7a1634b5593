"""How often: per month and per year, daily and weekly."""

from __future__ import annotations

import re

from .base import Rule
from .text import Reading

__all__ = ["PERIODS"]

_UNITS = {
    "second": "second secondly sekunde seconde segundo secondo секунду sekundę",
    "minute": "minute minuto minuut минуту minutę",
    "hour": "hour hourly stunde stündlich heure hora ora uur час godzinę",
    "day": "day daily tag täglich jour diario día dia giorno giornaliero dag dagelijks день ежедневно dzień codziennie",
    "night": "night nightly nacht nuit noche noite notte",
    "week": "week weekly woche wöchentlich semaine semana semanal settimana settimanale wekelijks неделю еженедельно "
    "tydzień tygodniowo",
    "month": "month monthly monat monatlich mois mensuel mes mensual mês mensal mese mensile maand maandelijks месяц "
    "ежемесячно miesiąc miesięcznie",
    "quarter": "quarter quarterly quartal trimestre trimestral kwartaal квартал kwartał",
    "year": "year yearly annual annually annum jahr jährlich an année annuel año anual ano anno annuale jaar jaarlijks "
    "год ежегодно rok rocznie",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_UNIT_WORDS = frozenset(_UNIT_OF)
_BEFORE = (
    "per each every a an pro jede jeden jedes je par chaque por cada al ao al all' ogni elke elk в каждый каждую "
    "каждые na co każdy każdego"
)
_ALONE = re.compile(
    r"\b(hourly|daily|nightly|weekly|monthly|quarterly|yearly|annual|annually|täglich|stündlich|wöchentlich|monatlich|"
    r"jährlich|mensuel|annuel|diario|semanal|mensual|mensal|anual|giornaliero|settimanale|mensile|annuale|dagelijks|"
    r"wekelijks|maandelijks|jaarlijks|ежедневно|еженедельно|ежемесячно|ежегодно|codziennie|tygodniowo|miesięcznie|"
    r"rocznie)\b"
)
_AFTER = re.compile(
    rf"(?:\b(?:{'|'.join(map(re.escape, dict.fromkeys(_BEFORE.split())))})\s+|/\s?)"
    rf"({'|'.join(sorted(map(re.escape, _UNIT_OF), key=len, reverse=True))})\b"
)
_CJK = {"每天": "day", "每日": "day", "毎日": "day", "每周": "week", "毎週": "week", "每月": "month", "毎月": "month",
        "每年": "year", "毎年": "year"}  # fmt: skip


def _periods(reading: Reading) -> frozenset[str]:
    found = reading.facts.get("periods")
    if found is None:
        text, units = reading.lower, set[str]()
        if reading.may_hold(_UNIT_WORDS):
            units.update(_UNIT_OF[word] for word in (*_ALONE.findall(text), *_AFTER.findall(text)))
        if reading.cjk:
            units.update(unit for word, unit in _CJK.items() if word in text)
        found = reading.facts["periods"] = frozenset(units)
    result: frozenset[str] = found
    return result


def _compare(new: Reading, old: Reading) -> str | None:
    ours, theirs = _periods(new), _periods(old)
    # One side alone may only say more clearly what the other means.
    if ours and theirs and ours != theirs:
        return f"period {min(ours - theirs or ours)} != {min(theirs - ours or theirs)}"
    return None


PERIODS = Rule("periods", _compare, _periods)
