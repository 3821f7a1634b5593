"""Code in answers, compared by its tokens: layout, comments, quotes and the names of variables do not count."""

from __future__ import annotations

import re

__all__ = ["codes", "is_code", "same_code", "tokens"]

_FENCE = re.compile(r"```([^\n`]*)\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINE_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))(?:#(?![!{])|//|--(?=\s)).*$")
_BLOCK_COMMENT = re.compile(r"/\*.*?\*/|(?:^|\n)\s*(?:\"\"\".*?\"\"\"|'''.*?''')", re.DOTALL)
_TOKEN = re.compile(
    r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|\d[\w.]*|[^\W\d]\w*|[<>=!]=+|&&|\|\||->|=>|\*\*|//|<<|>>|::|\\.|\S"
)
_SQL = re.compile(r"^\s*(?:select|insert|update|delete|create|alter|drop|with|explain)\b", re.IGNORECASE)
_COMMAND = re.compile(
    r"^\s*(?:\$ )?(?:git|pip3?|npm|npx|yarn|docker|kubectl|conda|apt(?:-get)?|brew|sudo|cd|ls|cp|mv|rm|mkdir|cat|"
    r"grep|find|chmod|chown|curl|wget|ssh|"
    r"tar|echo|export|python3?|node|cargo|go|make|sed|awk|pwd|kill|ps|df|du)(?: [-\w./~:=\"'*@<>|+$]+)*\s*$"
)  # fmt: skip
_LIKE_CODE = re.compile(
    r"\w\[[^\]]*\]|\w\([^)]*\)\s*(?:[;:.]|$)|^\s*(?:def|class|for|if|while|return|import|from|const|let|var|"
    r"function|print|public|static|void|int|"
    r"async|elif|else|try|#include|package|fn|func|using) \w.*[:;({=]|\w\)?\s*(?:=>|->)\s*\S|[;{]\s*$|\\[dwsDWSbB]|"
    r"^\s*\w+\s*(?:=|\+=|"
    r":=)\s*\S+\s*;?\s*$|"
    r"^\s*(?:return|import|const|let|var) \S+",
    re.MULTILINE,
)
_MATH = re.compile(r"^\s*[a-z]\s*=\s*[-+\d./ ]+(?:\s*(?:or|and|,).*)?$", re.IGNORECASE)
_DEFINED = (
    re.compile(r"\b(?:def|function|fn|func|class)\s+(\w+)"),
    re.compile(r"\b(?:def|function|fn|func)\s*\w*\s*\(([^)]*)\)"),
    re.compile(r"(?:^|[\n;({,])\s*(?:(?:const|let|var|int|auto|float|double|string)\s+)?(\w+)\s*=(?!=)"),
    re.compile(r"\bfor\s*\(?\s*(?:(?:const|let|var|int)\s+)?(\w+(?:\s*,\s*\w+)*)\s+(?:in|of)\b"),
    re.compile(r"\blambda\s+([\w, ]+):|\(([\w, ]+)\)\s*=>|\b(\w+)\s*=>|\bas\s+(\w+)"),
)
_KEYWORDS = frozenset(
    [
        "if",
        "else",
        "elif",
        "for",
        "while",
        "return",
        "in",
        "and",
        "or",
        "not",
        "is",
        "def",
        "class",
        "import",
        "from",
        "as",
        "try",
        "except",
        "finally",
        "with",
        "lambda",
        "yield",
        "const",
        "let",
        "var",
        "function",
        "new",
        "this",
        "self",
        "true",
        "false",
        "none",
        "null",
        "int",
        "float",
        "string",
        "str",
        "bool",
        "void",
        "public",
        "private",
        "static",
        "async",
        "await",
        "print",
        "len",
        "range",
    ]
)


def codes(text: str) -> list[str]:
    """Return the pieces of code in an answer: its fenced blocks, else its inline code, else itself if it is code."""
    blocks = [body.strip() for _, body in _FENCE.findall(text) if body.strip()]
    if blocks:
        return blocks
    inline = [piece.strip() for piece in _INLINE.findall(text)]
    if inline:
        return inline
    if is_code(text):
        return [text.strip()]
    for paragraph in re.split(r"\n\s*\n", text):
        if "\n" in paragraph.strip() and is_code(paragraph):
            return [paragraph.strip()]
    return []


def is_code(text: str) -> bool:
    """Return whether a text is a piece of code rather than prose.

    Example:
        >>> is_code("items[-1]"), is_code("The last item.")
        (True, False)
    """
    text = text.strip()
    if not text or _MATH.match(text) or "```" in text:
        return False
    if _COMMAND.match(text) or (_SQL.match(text) and re.search(r"\b(?:from|into|set|table)\b", text, re.IGNORECASE)):
        return True
    prose = len(re.findall(r"(?<![\w\"'])[A-Za-z][a-z]+(?= [a-z]+ [a-z]+ )", text))
    return (
        _LIKE_CODE.search(text) is not None
        and prose <= 1 + text.count("\n") // 2
        and not text.endswith((".", "?", "!"))
    )


def tokens(code: str) -> list[str]:
    """Return the tokens of a piece of code, without comments, prompts and final semicolons."""
    code = _BLOCK_COMMENT.sub(" ", code)
    code = _LINE_COMMENT.sub("", code)
    code = re.sub(r"(?m)^\s*(?:\$|>>>|\.\.\.|>) ", "", code)
    sql = _SQL.match(code) is not None
    found = []
    for match in _TOKEN.finditer(code):
        token = match[0]
        if token[0] == "'" and token[-1] == "'" and len(token) > 1:
            token = '"' + token[1:-1] + '"'
        found.append(token.lower() if sql and token[0] != '"' else token)
    return found[:-1] if found and found[-1] == ";" else found


def _names(code: str) -> frozenset[str]:
    """Return the names that a piece of code defines: they may be called otherwise."""
    found: set[str] = set()
    code = _LINE_COMMENT.sub("", code)
    for pattern in _DEFINED:
        for match in pattern.finditer(code):
            for group in match.groups():
                for part in (group or "").split(","):  # "x: int = 3" defines x
                    found.update(re.findall(r"[^\W\d]\w*", part.split(":")[0].split("=")[0])[-1:])
    return frozenset(found - _KEYWORDS)


def same_code(ours: str, theirs: str) -> bool:
    """Return whether two pieces of code are the same, but for layout, comments, quotes and the names they define.

    Example:
        >>> same_code("def f(a):\\n  return a", "def f(x): return x  # as is")
        True
    """
    a, b = tokens(ours), tokens(theirs)
    if a == b:
        return True
    if len(a) != len(b):
        return False
    mine, other = _names(ours), _names(theirs)
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    for x, y in zip(a, b, strict=True):
        if x in mine and y in other:
            if there.setdefault(x, y) != y or back.setdefault(y, x) != x:
                return False
        elif x != y:
            return False
    return True
