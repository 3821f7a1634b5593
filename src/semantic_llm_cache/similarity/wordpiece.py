"""The tokenizer of all-MiniLM-L6-v2: text to the numbers of word pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from semantic_llm_cache.similarity.runs import INDENT, NOTHING, Unseen, hidden_at, unseen_ascii
from semantic_llm_cache.similarity.weights import read_vocabulary

__all__ = ["CLS", "MAX_PIECES", "SEP", "WordPieces", "surely_plain", "surely_readable"]

CLS, SEP = 101, 102
_UNKNOWN = "[UNK]"
MAX_PIECES = 254
"""Word pieces that the model reads: it was trained on 256, two of which mark the ends."""

_MAX_WORD = 100
"""A longer word becomes one unknown piece (`max_input_chars_per_word` of BERT)."""
_MAX_CHARACTERS = 4096
"""No ordinary text of this length fits; counting the pieces of longer ones would only cost time."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_long_word = re.compile(rf"[^\W_]{{{_MAX_WORD + 1}}}", re.ASCII)


def surely_readable(text: str) -> bool | None:
    """Return, without a tokenizer, whether the model reads all of `text`; None when pieces must be counted.

    In ASCII a piece covers at least one character. Elsewhere one character can become several pieces (a Hangul
    syllable is taken apart into up to three).
    """
    if len(text) > _MAX_CHARACTERS:
        return False
    if len(text) <= MAX_PIECES and text.isascii():
        return True
    return None


def surely_plain(text: str) -> Unseen | None:
    """Return, without the tokenizer, what it does not see in `text`; None when the tokenizer is needed.

    In ASCII it drops control characters and white space, and only an overlong word and its own name for what is
    unknown are unknown to it.
    """
    if not text.isascii() or "[UNK]" in text or (len(text) > _MAX_WORD and _long_word.search(text)):
        return None
    return unseen_ascii(text)


def _words(tokens: Sequence[str], offsets: Sequence[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Join the pieces of each word: (word as the model reads it, its start, its end in the text)."""
    word, start, end = "", 0, 0
    for token, (at, to) in zip(tokens, offsets, strict=True):
        if token.startswith("##") and word:
            word, end = word + token[2:], to
            continue
        if word:
            yield word, start, end
        word, start, end = token, at, to
    if word:
        yield word, start, end


class WordPieces:
    """BERT's uncased tokenizer (arXiv 1810.04805), from the vocabulary that lies beside the weights.

    Built from the vocabulary, not from tokenizer.json: published copies of that file truncate and pad
    at lengths of their own.

    Raises:
        EmbeddingUnavailableError: no or another vocabulary in `folder`.
        ImportError: `tokenizers` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        word_piece = models.WordPiece(
            vocab=read_vocabulary(folder), unk_token=_UNKNOWN, max_input_chars_per_word=_MAX_WORD
        )
        self._tokenizer: Any = Tokenizer(word_piece)
        self._tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._tokenizer.add_special_tokens(["[PAD]", _UNKNOWN, "[CLS]", "[SEP]", "[MASK]"])
        self._unseen = lru_cache(maxsize=1024)(self._find_unseen)

    def pieces(self, text: str) -> list[int]:
        """Return the numbers of all pieces of `text`, end marks not included."""
        # One at a time: batches start a thread pool, which a later fork would complain about.
        try:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeEncodeError):  # half of a surrogate pair has no UTF-8 form
            text = text.encode("utf-8", "replace").decode()
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def readable(self, text: str) -> bool:
        """Return whether the model reads all of `text`: it fits, and is text."""
        sure = surely_readable(text)
        if sure is not None:
            return sure
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
        return len(self.pieces(text)) <= MAX_PIECES

    def unseen(self, text: str) -> Unseen:
        """Return what is dropped of `text`, unknown, or read without its marks."""
        plain = surely_plain(text)
        return self._unseen(text) if plain is None else plain

    def _find_unseen(self, text: str) -> Unseen:
        from semantic_llm_cache.similarity.marks import as_read, dropped, end_of_word, inside_word, spelled

        # Half of a surrogate pair is not valid text; replace it by a character that is also dropped.
        encoding = self._tokenizer.encode(_SURROGATE.sub("\ufffd", text), add_special_tokens=False)
        spans: list[tuple[int, int, bool]] = []
        words: list[tuple[str, str]] = []
        end = 0
        for word, at, to in _words(encoding.tokens, encoding.offsets):
            spans += dropped(text, end, at)
            end = to = end_of_word(text, max(end, to))
            written = text[at:to]
            if word == _UNKNOWN or (word != written and as_read(written) not in (word, "")):
                spans.append((at, to, True))  # unknown to the model, or read in a way that is unknown here
                continue
            if word != written:
                spans += inside_word(text, at, to)
            words.append((word, written))
        spans += dropped(text, end, len(text))
        spans += [(m.start(), m.end(), False) for m in INDENT.finditer(text)]
        found = spelled(words)
        return Unseen(hidden_at(text, spans), found) if spans or found else NOTHING
