"""Rules that need no dictionary: identifiers, URLs, flags, quotes, code, operators, emoji, accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from .base import Rule
from .lexicon import words
from .lexicon.numerals import NUMBER_WORDS
from .logic import connectives, may_connect
from .text import Reading

__all__ = ["CODE", "EMOJI", "FLAGS", "IDENTIFIERS", "OPERATORS", "QUOTES", "URLS"]


_Finder = Callable[[Reading], dict[str, str]]


def _remembered(name: str) -> Callable[[_Finder], _Finder]:
    """Cache a finder's result in the reading. Finders return compared form -> as written."""

    def decorate(find: _Finder) -> _Finder:
        def found(reading: Reading) -> dict[str, str]:
            known: dict[str, str] | None = reading.facts.get(name)
            if known is None:
                known = reading.facts[name] = find(reading)
            return known

        return found

    return decorate


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:37] + "..."


def _squash(text: str) -> str:
    return "".join(text.casefold().split())


# --- identifiers --------------------------------------------------------------------------------------

_JOINTS = str.maketrans("", "", "-_# \t\n")
_HARD_ID = re.compile(
    r"(?<![\w/.@-])(?:"
    r"[A-Za-z]\w*_\w+"  # snake_case
    r"|__\w+__"
    r"|[A-Z]{2,}[A-Z0-9]*[-#]\d[\w-]*"  # ORD-1234
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|0x[0-9a-fA-F]+"
    r"|#[0-9a-fA-F]{6}\b|#\d+"
    r"|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}"
    r"|(?=\w*\d)(?=\w*[A-Za-z])[A-Z0-9]{5,}"
    r")(?![\w@])"
)
_ID_SIGN = re.compile(r"[-_#0-9]")
_HUMP = re.compile(r"[a-z0-9][A-Z]")
_CAMEL = re.compile(r"(?<!\w)(?:[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+)(?!\w)")


@_remembered("ids")
def _hard_ids(reading: Reading) -> dict[str, str]:
    if _ID_SIGN.search(reading.text) is None:
        return {}
    return {_bare(m.group()): m.group() for m in _HARD_ID.finditer(reading.text)}


def _bare(text: str) -> str:
    """GPT-4 and GPT4 are one name, and so are ORD-12 and ORD 12."""
    return text.casefold().translate(_JOINTS)


@_remembered("camels")
def _camels(reading: Reading) -> dict[str, str]:
    if not reading.capitals or _HUMP.search(reading.text) is None:
        return {}
    return {m.group().lower(): m.group() for m in _CAMEL.finditer(reading.text)}


def _compare_identifiers(new: Reading, old: Reading) -> str | None:
    ours, theirs = _hard_ids(new), _hard_ids(old)
    if ours.keys() != theirs.keys():
        here, there = _bare(new.text), _bare(old.text)
        only_new = [ours[k] for k in sorted(ours.keys() - theirs.keys()) if theirs or k not in there]
        only_old = [theirs[k] for k in sorted(theirs.keys() - ours.keys()) if ours or k not in here]
        if only_new and only_old:
            return f"identifier {_short(only_new[0])} != {_short(only_old[0])}"
        if only_new:
            return f"identifier {_short(only_new[0])} not in the stored prompt"
        if only_old:
            return f"identifier {_short(only_old[0])} only in the stored prompt"
    ours, theirs = _camels(new), _camels(old)
    if not ours or not theirs or ours.keys() == theirs.keys():
        return None
    # "YouTube" is "You Tube".
    only_new = [ours[k] for k in sorted(ours.keys() - theirs.keys()) if k not in old.squashed]
    only_old = [theirs[k] for k in sorted(theirs.keys() - ours.keys()) if k not in new.squashed]
    if only_new and only_old:
        return f"identifier {_short(only_new[0])} != {_short(only_old[0])}"
    return None


# --- URLs, addresses, paths ---------------------------------------------------------------------------

_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"')\]]+"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w.@])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|edu|gov|co|app|ai|info|de|fr|uk|ru|jp|"
    r"cn)(?:/[^\s<>\"')\]]*)?(?!\w)"
    r"|(?<![\w/.:])(?:~|\.{1,2})?/(?:[\w.@-]+/)*[\w.@-]+"
    r"|(?<!\w)[A-Za-z]:\\[^\s\"']+"
    r"|(?<![\w.])[\w-]+\.(?:py|js|ts|jsx|tsx|json|csv|tsv|txt|md|xml|yml|yaml|html|css|cpp|java|rb|go|rs|"
    r"sh|sql|pdf|docx?|"
    r"xlsx?|pptx?|png|jpe?g|gif|svg|mp[34]|wav|zip|tar|gz|exe|dll|log|ini|toml|conf|cfg|ipynb|parquet)(?!\w)",
    re.IGNORECASE,
)


@_remembered("urls")
def _urls(reading: Reading) -> dict[str, str]:
    text = reading.text
    if "/" not in text and "." not in text and "@" not in text and "\\" not in text:
        return {}
    found = {}
    for match in _URL.finditer(text):
        shown = match.group().rstrip(".,;:!?/")
        if shown.lower() in ("asp.net", "node.js", "vue.js", "react.js", "next.js", "d3.js", "vb.net", ".net"):
            continue
        key = re.sub(r"^(?:https?://)?(?:www\.)?", "", shown, flags=re.IGNORECASE)
        host, slash, path = key.partition("/")
        key = host.lower() + slash + path if not shown.startswith(("/", ".", "~")) else key
        found[key] = shown
    return found


def _compare_urls(new: Reading, old: Reading) -> str | None:
    ours, theirs = _urls(new), _urls(old)
    if ours.keys() == theirs.keys():
        return None
    only_new = [ours[k] for k in sorted(ours.keys() - theirs.keys()) if not _site_named(k, old, theirs)]
    only_old = [theirs[k] for k in sorted(theirs.keys() - ours.keys()) if not _site_named(k, new, ours)]
    if only_new and only_old:
        return f"address {_short(only_new[0])} != {_short(only_old[0])}"
    if only_new:
        return f"address {_short(only_new[0])} not in the stored prompt"
    if only_old:
        return f"address {_short(only_old[0])} only in the stored prompt"
    return None


def _site_named(address: str, other: Reading, others: dict[str, str]) -> bool:
    """Return whether a prompt without addresses names a bare host without its ending: Booking.com, Booking."""
    if others or "/" in address or "@" in address:
        return False
    return address.split(".")[-2 if "." in address else 0] in other.words


# --- command-line flags -------------------------------------------------------------------------------

_FLAG = re.compile(r"(?<!\S)(?:--[A-Za-z][\w-]*(?:=\S+)?|-[A-Za-z]{1,3}(?![\w-]))(?=[\s,.;:?!)]|$)")


@_remembered("flags")
def _flags(reading: Reading) -> dict[str, str]:
    if "-" not in reading.text:
        return {}
    return {m.group(): m.group() for m in _FLAG.finditer(reading.text)}


def _compare_flags(new: Reading, old: Reading) -> str | None:
    ours, theirs = _flags(new), _flags(old)
    if ours.keys() == theirs.keys():
        return None
    # A long flag may be written without its dashes ("a hard reset"): the words then hold it.
    only_new = [f for f in sorted(ours.keys() - theirs.keys()) if f.lstrip("-").lower() not in old.words]
    only_old = [f for f in sorted(theirs.keys() - ours.keys()) if f.lstrip("-").lower() not in new.words]
    if ours and theirs:
        only_new, only_old = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if only_new and only_old:
        return f"flag {_short(only_new[0])} != {_short(only_old[0])}"
    if only_new:
        return f"flag {_short(only_new[0])} not in the stored prompt"
    if only_old:
        return f"flag {_short(only_old[0])} only in the stored prompt"
    return None


# --- quoted strings -----------------------------------------------------------------------------------

_QUOTED = re.compile(
    r"\"([^\"\n]{1,300})\"|“([^”\n]{1,300})[”“]|„([^“”\n]{1,300})[“”]|«\s?([^»\n]{1,300}?)\s?»"
    r"|(?<!\w)'([^'\n]{1,300})'(?!\w)|「([^」\n]{1,300})」|『([^』\n]{1,300})』|《([^》\n]{1,300})》"
    r"|‹([^›\n]{1,300})›|``([^'`\n]{1,300})''"
)
_QUOTE_MARKS = frozenset("\"“„«'「『《‹`")


@_remembered("quotes")
def _quotes(reading: Reading) -> dict[str, str]:
    if _QUOTE_MARKS.isdisjoint(reading.text):
        return {}
    found = {}
    for match in _QUOTED.finditer(reading.text):
        inner = next(g for g in match.groups() if g is not None)
        key = _squash(inner).rstrip(".,!?;:")
        if key:
            found[key] = f'"{inner.strip()}"'
    return found


def _compare_quotes(new: Reading, old: Reading) -> str | None:
    ours, theirs = _quotes(new), _quotes(old)
    if not ours or not theirs or ours.keys() == theirs.keys():
        return None
    only_new = [ours[k] for k in sorted(ours.keys() - theirs.keys()) if not _nearly(k, theirs)]
    only_old = [theirs[k] for k in sorted(theirs.keys() - ours.keys()) if not _nearly(k, ours)]
    # Quoted here and unquoted there is no difference.
    only_new = [q for q in only_new if _squash(q[1:-1]) not in old.squashed]
    only_old = [q for q in only_old if _squash(q[1:-1]) not in new.squashed]
    if only_new and only_old:
        return f"quote {_short(only_new[0])} != {_short(only_old[0])}"
    return None


def _nearly(quote: str, others: dict[str, str]) -> bool:
    """Return whether a quotation contains this one, is contained in it, or is a variant of a long one."""
    for other in others:
        if min(len(quote), len(other)) >= 4 and (quote in other or other in quote):
            return True
        if min(len(quote), len(other)) > 30:
            a = {quote[i : i + 3] for i in range(len(quote) - 2)}
            b = {other[i : i + 3] for i in range(len(other) - 2)}
            if len(a & b) > 0.7 * min(len(a), len(b)):
                return True
    return False


# --- code ---------------------------------------------------------------------------------------------

_CODE = re.compile(
    r"```[^\n`]*\n(.*?)```|(?<!`)`([^`\n]+)`(?!`)|((?<!\w)[A-Za-z_][\w.]*\([^()]*\)|(?<!\w)[A-Za-z_]\w*\[[^\[\]\s]+\])",
    re.DOTALL,
)


@_remembered("code")
def _code(reading: Reading) -> dict[str, str]:
    text = reading.text
    if "`" not in text and "(" not in text and "[" not in text:
        return {}
    found = {}
    for match in _CODE.finditer(text):
        block, span, call = match.groups()
        body = block or span or call or ""
        if not body.strip():
            continue  # an empty block
        if call is not None and re.fullmatch(r"[A-Za-z]+\((?:s|es|ies|ed|ing|d|n)\)", call):
            continue  # "word(s)"
        found["".join(body.split())] = body
    return found


def _compare_code(new: Reading, old: Reading) -> str | None:
    ours, theirs = _code(new), _code(old)
    if ours.keys() == theirs.keys():
        return None
    spaceless_new, spaceless_old = _spaceless(new), _spaceless(old)
    only_new = [ours[k] for k in sorted(ours.keys() - theirs.keys()) if ours and (theirs or k not in spaceless_old)]
    only_old = [theirs[k] for k in sorted(theirs.keys() - ours.keys()) if theirs and (ours or k not in spaceless_new)]
    if only_new and only_old:
        return f"code {_short(only_new[0])} != {_short(only_old[0])}"
    # Marked as code on one side only: a difference where the other does not hold its letters at all.
    for side, other in ((only_new, old), (only_old, new)):
        for body in side:
            if not _letters(body) <= _letters(other.text):
                where = "not in the stored prompt" if side is only_new else "only in the stored prompt"
                return f"code {_short(body)} {where}"
    return None


def _spaceless(reading: Reading) -> str:
    return "".join(reading.text.split())


def _letters(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", text.casefold()))


# --- operators ----------------------------------------------------------------------------------------

_OPERATOR = re.compile(r"[-+*/^%<>=&|~≠≤≥×÷→←⇒]")
_EXPRESSION = re.compile(
    r"(?<![\w-])([A-Za-z]|\d[\d.,]*|\w+\([^()]*\)|[A-Za-z]+(?=\s?(?:[<>=!+*/^%&|≠≤≥×÷→]|->)))"
    r"\s?(===|!==|==|!=|<=|>=|<<|>>|->|=>|\*\*|&&|\|\||//|\+=|-=|≠|≤|≥|×|÷|→|[-+*/^%<>=&|])\s?"
    r"([A-Za-z]\b|-?\d[\d.,]*|\w+\([^()]*\)|(?<=[<>=!+*^%&|≠≤≥×÷→] )[A-Za-z]+|"
    r"(?<=[<>=!+*^%&|≠≤≥×÷→])[A-Za-z]+)(?![\w-])"
)
_DIGITS = {word: str(value) for word, value in NUMBER_WORDS["en"].items()}
_WORDLIKE = words("and/or km/h w/o n/a i/o c/o a/c r&d q&a s&p at&t h&m b&b r&b m&a")
_BARE = re.compile(
    r"(?<![\w<>=!+*/&|-])(===|!==|==|!=|<=|>=|<<|>>|->|=>|\*\*|&&|\|\||\+\+|--|//|\+=|-=|:=|[-+*/^%<>=&|~])"
    r"(?![\w<>=!+*/&|-])"
)
_PLAIN = str.maketrans({"×": "*", "÷": "/", "≠": "!=", "≤": "<=", "≥": ">="})


@_remembered("operators")
def _operators(reading: Reading) -> dict[str, str]:
    text = reading.text
    if _OPERATOR.search(text) is None:
        return {}
    found: dict[str, str] = {}
    at = 0
    while True:
        match = _EXPRESSION.search(text, at)
        if match is None:
            break
        shown = match.group().strip()
        if match[1].lower() in _DIGITS or match[3].lower() in _DIGITS:
            shown = "".join(_DIGITS.get(g.lower(), g) for g in match.groups())
        key = _squash(shown).rstrip(".,")
        if key not in _WORDLIKE and not re.fullmatch(r"\d{1,4}[-/]\d{1,4}(?:[-/]\d+)?", key.replace(",", "")):
            found[key.translate(_PLAIN)] = shown
        elif key not in _WORDLIKE and " " in shown:
            found[key] = shown
        # The right operand may be the left one of the next: a - b - c.
        at = max(match.start() + 1, match.start(3))
    for match in _BARE.finditer(text):
        op = match.group(1)
        if op in "-/*~|&=%+" and len(op) == 1 and text[: match.start()].strip() and "operator" not in reading.bag:
            continue  # a dash, an ampersand, a bullet
        found[op] = op
    return found


def _longest_first(key: str) -> tuple[int, str]:
    return -len(key), key


def _compare_operators(new: Reading, old: Reading) -> str | None:
    ours, theirs = _operators(new), _operators(old)
    if not ours or not theirs or ours.keys() == theirs.keys():
        return None
    only_new = [ours[k] for k in sorted(ours.keys() - theirs.keys(), key=_longest_first)]
    only_old = [theirs[k] for k in sorted(theirs.keys() - ours.keys(), key=_longest_first)]
    if only_new and only_old:
        return f"operator {_short(only_new[0])} != {_short(only_old[0])}"
    return None


def _compare_logic(new: Reading, old: Reading) -> str | None:
    return _compare_operators(new, old) or connectives(new, old)


# --- emoji --------------------------------------------------------------------------------------------

_MODIFIERS = frozenset("\ufe0e\ufe0f\u200d\u20e3") | {chr(c) for c in range(0x1F3FB, 0x1F400)}


def _is_emoji(char: str) -> bool:
    code = ord(char)
    return (
        0x1F000 <= code <= 0x1FAFF
        or 0x2600 <= code <= 0x27BF
        or 0x2B00 <= code <= 0x2BFF
        or 0x2300 <= code <= 0x23FF
        or (code > 0x2000 and unicodedata.category(char) == "So")
    )


@_remembered("emoji")
def _emoji(reading: Reading) -> dict[str, str]:
    if reading.text.isascii():
        return {}
    return {c: c for c in reading.text if c >= "\u2000" and c not in _MODIFIERS and _is_emoji(c)}


_ABOUT_EMOJI = words("emoji emojis emoticon symbol symbols mean means meaning icon icons sign smiley")


def _compare_emoji(new: Reading, old: Reading) -> str | None:
    ours, theirs = _emoji(new), _emoji(old)
    if ours.keys() == theirs.keys():
        return None
    only_new, only_old = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if only_new and only_old:
        return f"emoji {only_new[0]} != {only_old[0]}"
    if ours and theirs:
        return f"emoji {(only_new or only_old)[0]} is in one prompt only"
    # An emoji on one side is decoration, unless the prompt is about it or is little else.
    for side, reading in ((only_new, new), (only_old, old)):
        if side and (len(reading.words) <= 1 or not _ABOUT_EMOJI.isdisjoint(reading.words)):
            return f"emoji {side[0]} is in one prompt only"
    return None


IDENTIFIERS = Rule("identifiers", _compare_identifiers, lambda reading: _hard_ids(reading) or _camels(reading))
URLS = Rule("urls", _compare_urls, _urls)
FLAGS = Rule("flags", _compare_flags, _flags)
QUOTES = Rule("quotes", _compare_quotes, _quotes)
CODE = Rule("code", _compare_code, _code)
OPERATORS = Rule("operators", _compare_logic, lambda reading: _operators(reading) or may_connect(reading))
EMOJI = Rule("emoji", _compare_emoji, _emoji)
