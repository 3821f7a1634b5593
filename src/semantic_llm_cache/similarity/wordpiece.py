"""The tokenizer of all-MiniLM-L6-v2: text to the numbers of word pieces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from semantic_llm_cache.similarity.weights import read_vocabulary

__all__ = ["CLS", "MAX_PIECES", "SEP", "WordPieces", "surely_readable"]

CLS, SEP, UNKNOWN = 101, 102, 100
MAX_PIECES = 254
"""Word pieces that the model reads: it was trained on 256, two of which mark the ends."""

_MAX_WORD = 100
"""A longer word is one unknown piece, whatever it says (`max_input_chars_per_word` of BERT)."""
_MAX_CHARACTERS = 4096
"""No ordinary text of this length fits; counting the pieces of longer ones would only cost time."""

_long_word = re.compile(rf"[^\W_]{{{_MAX_WORD + 1}}}", re.ASCII)


def surely_readable(text: str) -> bool | None:
    """Tell without a tokenizer whether the model reads all of `text`; None when that takes counting.

    In ASCII a piece covers at least one character and only an overlong word is unknown. Elsewhere one
    character can become several pieces (a Hangul syllable is taken apart into up to three), or an
    unknown one.
    """
    if len(text) > _MAX_CHARACTERS:
        return False
    if len(text) <= MAX_PIECES and text.isascii() and (len(text) <= _MAX_WORD or not _long_word.search(text)):
        return True
    return None


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
            vocab=read_vocabulary(folder), unk_token="[UNK]", max_input_chars_per_word=_MAX_WORD
        )
        self._tokenizer: Any = Tokenizer(word_piece)
        self._tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])

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
        """Tell whether the model reads all of `text`: it fits, and no piece of it is unknown."""
        sure = surely_readable(text)
        if sure is not None:
            return sure
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
        ids = self.pieces(text)
        return len(ids) <= MAX_PIECES and UNKNOWN not in ids
