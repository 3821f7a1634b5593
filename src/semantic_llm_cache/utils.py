"""Small helpers for code that builds on the cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

__all__ = ["PersonalData", "estimate_tokens", "hash_prompt", "normalize_prompt"]

# Compiled when first used, by `re` itself: compiling at import would cost every start.
_SPACE = r"\s+"


def normalize_prompt(prompt: str) -> str:
    """Return `prompt` with case folded, runs of space made one, and final marks (?, !, .) dropped.

    Not applied by default: in a prompt that holds code, indentation is meaning. Pass it as
    ``normalizer=`` where prompts are plain questions.

    Example:
        >>> normalize_prompt("  What is   Python? ")
        'what is python'
    """
    import unicodedata

    text = re.sub(_SPACE, " ", unicodedata.normalize("NFC", prompt)).strip().casefold()
    return text.rstrip("?!. ") or text


def hash_prompt(prompt: str, namespace: str = "default") -> str:
    """Return a hex digest (BLAKE2b, 160 bits) of a prompt in a namespace, stable across processes.

    Example:
        >>> hash_prompt("a") == hash_prompt("a"), hash_prompt("a") == hash_prompt("a", "other")
        (True, False)
    """
    import hashlib

    data = f"{len(namespace)}:{namespace}{prompt}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def estimate_tokens(text: str) -> int:
    """Return about how many tokens `text` has: four characters of ASCII each, one of other scripts each 1.5.

    An estimate for responses without usage figures, within some 30 % for English prose.

    Example:
        >>> estimate_tokens("What is Python?")
        4
    """
    if not text:
        return 0
    ascii_count = sum(1 for _ in filter(str.isascii, text)) if not text.isascii() else len(text)
    return max(1, round(ascii_count / 4 + (len(text) - ascii_count) / 1.5))


# ------------------------------------------------------------------------------ personal data

_API_KEY = (
    r"\b(?:(?:sk|pk|rk|hf|gh[opsu]|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[A-Za-z0-9_-]{35}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)


def _passes_luhn(text: str) -> bool:
    digits = [int(sign) for sign in text if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    letters = "".join(text.split()).upper()
    number = "".join(str(int(sign, 36)) for sign in letters[4:] + letters[:4])
    return 15 <= len(letters) <= 34 and int(number) % 97 == 1


def _is_phone(text: str) -> bool:
    # Without a plus, a bracket or a leading zero, only what is written in groups: a bare number is rarely a phone's.
    marked = text.startswith(("+", "0", "(")) or re.fullmatch(r"\d{3}[ .-]\d{3}[ .-]\d{4}", text)
    return bool(marked) and 7 <= sum(map(str.isdigit, text)) <= 15


def _always(text: str) -> bool:
    return True


_KINDS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "api-key": (_API_KEY, _always),
    "email": (r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", _always),
    "iban": (r"(?a)\b[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b", _is_iban),
    "card": (r"(?<![\w.])[0-9](?:[ -]?[0-9]){12,18}(?!\w)", _passes_luhn),
    "phone": (r"(?<![\w.])[+(]?[0-9](?:[ ()/.-]{0,2}[0-9]){6,14}(?!\w)", _is_phone),
}


def _mask(kind: str, found: re.Match[str]) -> str:
    """Return the mask and the rest of what was found: a pattern may have taken words that follow."""
    words, is_one = found[0].split(" "), _KINDS[kind][1]
    for count in range(len(words), 0, -1):
        if is_one(" ".join(words[:count])):
            return " ".join([f"[{kind.upper()}]", *words[count:]])
    return found[0]


class PersonalData:
    """A ready-made `redact=`: masks e-mail addresses, phone and card numbers, IBANs and API keys.

    A help and no promise: it finds what has a form. Names, addresses and what is written in words have none; for
    those, pass a function that asks a recogniser of your own, see ``docs/encryption.md``.

    Args:
        kinds: what to look for, of ``"api-key"``, ``"email"``, ``"iban"``, ``"card"`` (numbers with a valid check
            digit) and ``"phone"``.
        store: False stores prompts that hold any of it not at all.

    Raises:
        ValueError: a kind is not known.

    Example:
        >>> PersonalData()("Write to ada@example.com about 4111 1111 1111 1111.")
        'Write to [EMAIL] about [CARD].'
        >>> PersonalData(store=False)("Write to ada@example.com.") is None
        True
    """

    def __init__(self, kinds: Iterable[str] = tuple(_KINDS), *, store: bool = True) -> None:
        wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        unknown = [kind for kind in wanted if kind not in _KINDS]
        if unknown:
            raise ValueError(f"kinds={unknown[0]!r} is not known: use {', '.join(map(repr, _KINDS))}")
        self.kinds = tuple(kind for kind in _KINDS if kind in wanted)  # in the order in which they must be masked
        self.store = store

    def __call__(self, text: str) -> str | None:
        """Return the text with what was found masked, or None where it must not be stored."""
        masked = self._masked(text)
        return masked if self.store or masked == text else None

    def _masked(self, text: str) -> str:
        for kind in self.kinds:
            text = re.sub(_KINDS[kind][0], partial(_mask, kind), text)
        return text

    def absent(self, answer: Any) -> bool:
        """Return whether an answer holds none of it: for `cache_if=`. Chunks of a stream are joined first.

        Example:
            >>> PersonalData().absent(["Write to ada@", "example.com"])
            False
        """
        if isinstance(answer, (list, tuple)) and all(isinstance(chunk, str) for chunk in answer):
            answer = "".join(answer)
        import json

        text = answer if isinstance(answer, str) else json.dumps(answer, default=str, ensure_ascii=False)
        return self._masked(text) == text
