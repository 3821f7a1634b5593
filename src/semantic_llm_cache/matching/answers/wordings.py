"""Words that say the same: abbreviations and their long forms, spellings, and common synonyms."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["canonical", "expand", "synonym"]

# One group a line, the form that stands for all first. Written forms of more than one word are replaced as a whole.
_FORMS = """
usa: us, u.s., u.s.a., united states, united states of america, the states
uk: u.k., united kingdom, great britain
eu: european union
france: french
poland: polish
germany: german
spain: spanish
italy: italian
greece: greek
netherlands: dutch
switzerland: swiss
china: chinese
japan: japanese
portugal: portuguese
brazil: brazilian
russia: russian
turkey: turkish
sweden: swedish
denmark: danish
norway: norwegian
finland: finnish
ireland: irish
scotland: scottish
wales: welsh
england: english
austria: austrian
hungary: hungarian
india: indian
mexico: mexican
canada: canadian
australia: australian
egypt: egyptian
israel: israeli
korea: korean
usa: american
uk: british
uae: united arab emirates
ussr: soviet union
un: united nations
nyc: new york city
wwi: world war i, first world war, world war one, ww1, world war 1
wwii: world war ii, second world war, world war two, ww2, world war 2
ai: artificial intelligence
ml: machine learning
co2: carbon dioxide
h2o2: hydrogen peroxide
nacl: sodium chloride
dna: deoxyribonucleic acid
rna: ribonucleic acid
atp: adenosine triphosphate
led: light emitting diode, light-emitting diode
cpu: central processing unit
gpu: graphics processing unit
ram: random access memory, random-access memory
url: uniform resource locator
html: hypertext markup language
http: hypertext transfer protocol
sql: structured query language
api: application programming interface
lifo: last in first out, last-in first-out, last in, first out
fifo: first in first out, first-in first-out, first in, first out
faq: frequently asked questions
ceo: chief executive officer, chief executive
cfo: chief financial officer
gdp: gross domestic product
nasa: national aeronautics and space administration
who: world health organization, world health organisation
tv: television
ok: okay
email: e-mail, e mail, mail address
wifi: wi-fi, wi fi
asap: as soon as possible
etc: et cetera
pct: percent, per cent
vs: versus
phone: telephone
photo: photograph
fridge: refrigerator
gym: gymnasium
exam: examination
ad: advertisement, advert
app: application
info: information
lab: laboratory
bike: bicycle
plane: airplane, aeroplane, aircraft
signin: sign in, sign-in, log in, login, log-in, sign on
signup: sign up, sign-up, register
setup: set up, set-up
"""
_SYNONYMS = """
big large huge great enormous
small little tiny
begin start commence
end finish stop conclude
buy purchase acquire
car automobile
exit leave quit
fast quick rapid swift
hard difficult tough
easy simple
main primary principal chief major key
rise increase grow climb raise
fall decrease drop decline lower reduce lessen
send mail post
choose pick select
show display
get receive obtain
give provide supply offer
make create produce build form
use employ utilise utilize
help assist aid support
need require must
let allow permit enable
fix repair mend solve resolve
broken faulty defective failed
need necessary required
child kid
doctor physician
sick ill
toxic poisonous
harmless nontoxic
correct right accurate
wrong incorrect false
answer reply respond response
picture image photo
film movie
autumn fall
holiday vacation
shop store
lift elevator
money cash funds
job work occupation
rich wealthy
whole entire complete full total
fridge refrigerator
attic roof
lamp bulb light
delete remove erase
change modify alter
check verify
break crack damage
speak talk
happen occur
contain hold include
consist comprise
author writer
write author pen compose
found establish
invent devise
discover find
find found
approve pass accept
reject refuse deny
go move
stay remain keep
die perish
kill slay
win victory
lose defeat
beat defeat
price cost
pay charge
free gratis
huge vast
strong powerful
weak feeble
old ancient aged
new recent fresh
near close
far distant
fourth forth
usually normally typically generally
often frequently
roughly about approximately around
maybe perhaps possibly
nearly almost
also too additionally
because since
whole unused
germ pathogen microbe
teach train instruct
learn study
prompt cause lead trigger
error mistake bug fault
method way approach technique
rule guideline
goal aim objective purpose
benefit advantage
drawback disadvantage
law statute
enemy foe
secret hidden secretly
marry wed
suicide kill
reconcile peace
people persons humans person
country nation
town city
earth world planet globe
ocean sea
stone rock
wood timber
sleep rest
eat consume
drink beverage
keep retain maintain
turn switch
switch replace swap
tall high
sofa couch
gift present
trash garbage rubbish waste
soil dirt
user customer client
tenant renter
"""
_FOLDED = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
_SPELLINGS = (("isation", "ization"), ("ise", "ize"), ("ising", "izing"), ("ised", "ized"), ("our", "or"),
              ("tre", "ter"), ("aed", "ed"),
              ("ogue", "og"), ("ence", "ense"), ("mme", "m"), ("lled", "led"), ("lling", "ling"))  # fmt: skip


@cache
def _forms() -> tuple[re.Pattern[str], dict[str, str]]:
    table = {}
    for line in _FORMS.strip().splitlines():
        head, _, others = line.partition(": ")
        for other in others.split(", "):
            if " " in other or "-" in other or "." in other:
                table[other] = head
    several = sorted(table, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, several)) + r")(?!\w)", re.IGNORECASE), table


@cache
def _single() -> dict[str, str]:
    table = {}
    for line in _FORMS.strip().splitlines():
        head, _, others = line.partition(": ")
        table.update(
            {
                other: head
                for other in others.split(", ")
                if other.isalnum() and other not in ("us", "who", "un", "mail")
            }
        )
    return table


@cache
def _groups() -> dict[str, frozenset[int]]:
    from semantic_llm_cache.matching.guards.text import stem

    table: dict[str, set[int]] = {}
    for number, line in enumerate(_SYNONYMS.strip().splitlines()):
        for word in line.split():
            table.setdefault(stem(word), set()).add(number)
    return {word: frozenset(numbers) for word, numbers in table.items()}


def expand(text: str) -> str:
    """Return `text` with long forms of several words replaced by their one word.

    Example:
        >>> expand("the United States")
        'the usa'
    """
    pattern, table = _forms()
    return pattern.sub(lambda m: table[m[0].lower()], re.sub(r"\bUS\b", "usa", text))


def canonical(word: str) -> str:
    """Return a word in lower case without accents, in one spelling, abbreviations in their short form."""
    low = word.casefold()
    low = _single().get(low, low)
    if not low.isascii() and low[0] < "\u0250":
        low = unicodedata.normalize("NFD", low.translate(_FOLDED))
        low = "".join(c for c in low if not unicodedata.combining(c))
    if len(low) > 5:
        low = low.replace("paed", "ped").replace("anaem", "anem").replace("oes", "es") if low[:1] in "pao" else low
        for british, american in _SPELLINGS:
            if low.endswith(british) and len(low) > len(british) + 2:
                return low[: -len(british)] + american
            if low.endswith(british + "s") and len(low) > len(british) + 3:
                return low[: -len(british) - 1] + american + "s"
    return low


def synonym(a: str, b: str) -> bool:
    """Return whether two stems are listed as saying the same."""
    groups = _groups()
    ours = groups.get(a)
    return ours is not None and not ours.isdisjoint(groups.get(b, ()))
