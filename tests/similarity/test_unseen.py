"""What a vector does not show of a text: found by the tokenizer, by the default for any embedder, and compared."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semantic_llm_cache.similarity import (
    DummyEmbeddingProvider,
    EmbeddingCache,
    EmbeddingProvider,
    OnnxEmbeddingProvider,
)
from semantic_llm_cache.similarity.differences import unseen_difference
from semantic_llm_cache.similarity.unseen import NOTHING, Hidden, Unseen, default_unseen

ONNX, ANY = OnnxEmbeddingProvider(), DummyEmbeddingProvider()
BOTH = pytest.mark.parametrize("embedder", [ONNX, ANY], ids=["onnx", "default"])

APART = [
    ("Is it safe?", "Is it safe?\U000e0053\U000e0061\U000e0079", "tag characters"),
    ("Is it safe?", "Is it\u200b safe?", "zero-width space"),
    ("Is it safe?", "Is i\u200dt safe?", "zero-width joiner"),
    ("Is it safe?", "\u202eIs it safe?", "bidi override"),
    ("Is it safe?", "Is it sa\u00adfe?", "soft hyphen"),
    ("Is it safe?", "Is it safe?\ufe0f", "variation selector"),
    ("Is it safe?", "Is it s\U000e0150\U000e0151afe?", "variation selectors of the supplement"),
    ("Is it safe?", "Is it safe?\ue000\U000f0000", "private use"),
    ("Is it safe?", "Is it\x00 safe\x1b?", "control characters"),
    ("Is it safe?", "Is it\x7f safe?", "delete"),
    ("Is it safe?", "Is it\ufffd safe?", "replacement character"),
    ("Is it safe?", "Is it\ud83d safe?", "half a surrogate pair"),
    ("Is it safe?", "Is it sa\u0363\u0364fe?", "letters written as marks"),
    ("Is it safe?", "Is it sa\u0301\u0301\u0301\u0301\u0301fe?", "a heap of marks"),
    ("Is it safe?", "Is it\u2003safe?", "a space that no keyboard has"),
    ("Is it safe?", "Is it\u2800safe?", "empty braille"),
    ("Is it safe?", "Is it \u3164 safe?", "Hangul filler"),
    ("Is it safe?", "Is it safe? \U0001f642", "an emoji on one side"),
    ("Is 🐍 dangerous?", "Is 🐢 dangerous?", "two emoji"),
    ("Does 🐍 eat frogs?", "Do frogs eat 🐍?", "a moved emoji"),
    ("Is 🐍 faster than 🐢?", "Is 🐢 faster than 🐍?", "swapped emoji"),
    ("Is it \u2764?", "Is it \u2764\ufe0f?", "text and emoji presentation"),
    ("What is \U0001d422\U0001d420?", "What is \U0001d423\U0001d420?", "mathematical letters"),
    ("W\u200bhat is it?", "What\u200b is it?", "a moved zero-width space"),
    ("¿Cuántos años tiene?", "¿Cuántos anos tiene?", "a mark left out"),
    ("el año", "los anos", "a mark left out in another number"),
    ("cambia año por ano", "cambia ano por año", "marks exchanged"),
    ("Er ist schon da", "Er ist schön da", "umlaut"),
    ("がき", "かき", "voiced kana"),
    ("かきを買う", "がきが買う", "voiced kana in another word"),
    ("कि", "कु", "vowel signs"),
    ("if x:\n    a()\n    b()", "if x:\n    a()\nb()", "indentation"),
]

TOGETHER = [
    ("Is 🐍 dangerous?", "Are 🐍 dangerous?", "the same emoji"),
    ("What is Ⴀ?", "What's Ⴀ?", "the same rare sign"),
    ("What's it?", "What’s it?", "typographic apostrophe"),
    ('naïve "café" -', "naive “cafe” –", "loan words"),
    ("¿Cómo restablezco mi contraseña?", "¿Qué hago para restablecer mi contraseña?", "other marked words"),
    ("Wie setze ich mein Passwort zurück?", "Wie kann ich mein Passwort zurücksetzen?", "a marked word of one side"),
    ("co\u00adoperate now", "co\u00adoperate now?", "the same soft hyphen in the same place"),
    ("What\u00a0is it?", "What is it?", "no-break space"),
    ("What is it?\nThanks", "What is it? Thanks", "line breaks"),
    ("def f():\n    return 1\nWhat is it?", "What is this?\ndef f():\n    return 1", "the same code"),
    ("한국어란?", "한국어란", "Hangul"),
    ("Is it US?", "is it us?", "case, which a guard looks at"),
    ("Łódź", "łódź", "letters that are no letter with a mark"),
]


@BOTH
@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b, _ in APART], ids=[name for *_, name in APART])
def test_apart(embedder: EmbeddingProvider, a: str, b: str) -> None:
    assert unseen_difference(embedder, a, b)
    assert unseen_difference(embedder, b, a)


@BOTH
@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b, _ in TOGETHER], ids=[name for *_, name in TOGETHER])
def test_together(embedder: EmbeddingProvider, a: str, b: str) -> None:
    assert unseen_difference(embedder, a, b) is None
    assert unseen_difference(embedder, b, a) is None


def test_the_tokenizer_says_exactly_what_is_unknown() -> None:
    assert ONNX.unseen("what is \u2192 or π?") is NOTHING  # in the vocabulary
    assert ONNX.unseen("what is ☃abc?").hidden == (Hidden("☃abc", "is ", "", True),)
    assert ONNX.unseen("decode " + "A" * 101).hidden[0].placed  # a word too long for the vocabulary
    assert ONNX.unseen("is [UNK] a sign?").hidden[0].characters == "[UNK]"
    assert ONNX.unseen("el año y el ano") == Unseen((), {"ano": ("an\u0303o", "ano")})
    assert EmbeddingCache(ONNX).unseen("a\u200bb") == ONNX.unseen("a\u200bb")


def test_the_default_takes_what_a_tokenizer_is_known_not_to_know() -> None:
    found = default_unseen("decode abc", [(7, 10)]).hidden
    assert found == (Hidden("abc", "decode ", "", True),)


def test_reasons_show_what_cannot_be_seen_by_its_number() -> None:
    assert unseen_difference(ONNX, "a", "a\u200b") == "unseen U+200B only in the stored prompt"
    assert unseen_difference(ONNX, "a \U0001f40d", "a \U0001f422") == "unseen 🐍 != 🐢"
    assert unseen_difference(ONNX, "año", "ano") == "unseen spelling año != ano"


@BOTH
def test_plain_text_costs_next_to_nothing(embedder: EmbeddingProvider) -> None:
    assert embedder.unseen("What is the capital of France?") is NOTHING


# Every character that the tokenizer drops beside and within a word, found by asking it.
def _dropped() -> list[str]:
    encode = ONNX._tokenizer()._tokenizer.encode
    plain = encode("ab", add_special_tokens=False).ids
    found = []
    for code in [
        *range(0x3000),
        *range(0x3000, 0x110000, 7),
        *range(0xE0000, 0xE01F0),
        *range(0xFE00, 0xFE10),
        0xFEFF,
        0xFFFC,
        0xFFFD,
    ]:
        if not 0xD800 <= code < 0xE000 and encode(f"a{chr(code)}b", add_special_tokens=False).ids == plain:
            found.append(chr(code))
    return found


DROPPED = _dropped()
HIDDEN = st.text(st.sampled_from(DROPPED), min_size=1, max_size=6)
BASE = st.sampled_from(
    ["What is the capital of France?", "¿Cuántos años tiene?", "Is 🐍 dangerous?", "sort a list\n  in Python", "か", ""]
)


def test_many_characters_are_dropped() -> None:
    assert len(DROPPED) > 2000
    assert {"\u200b", "\u00ad", "\ufe0f", "\U000e0041", "\u202e", "\x00", "\u0301"} <= set(DROPPED)


@BOTH
def test_each_dropped_character_counts_alone(embedder: EmbeddingProvider) -> None:
    through = [
        f"U+{ord(c):04X}"
        for c in DROPPED
        for text in (f"is it s{c}afe?", f"is it{c} safe?", f"is it {c}safe?", f"{c}is it safe?")
        if unseen_difference(embedder, "is it safe?", unicodedata.normalize("NFC", text)) is None
    ]
    assert not through


@BOTH
@settings(max_examples=300, deadline=None)
@given(base=BASE, hidden=HIDDEN, data=st.data())
def test_inserting_dropped_characters_anywhere_keeps_texts_apart(embedder, base, hidden, data) -> None:
    at = data.draw(st.integers(0, len(base)))
    text = unicodedata.normalize("NFC", base[:at] + hidden + base[at:])
    if text.strip() == base:  # the door strips white space, and then it is the same text
        return
    assert unseen_difference(embedder, base, text)
    assert unseen_difference(embedder, text, base)


@BOTH
@settings(max_examples=200, deadline=None)
@given(base=BASE, one=HIDDEN, other=HIDDEN, data=st.data())
@example(base="What is the capital of France?", one="\u200b", other="\u200c", data=None)
def test_other_hidden_characters_keep_texts_apart(embedder, base, one, other, data) -> None:
    at = len(base) if data is None else data.draw(st.integers(0, len(base)))
    first, second = (unicodedata.normalize("NFC", base[:at] + hidden + base[at:]) for hidden in (one, other))
    assert (unseen_difference(embedder, first, second) is None) == (first == second)


@BOTH
@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_agrees_with_itself(embedder, text) -> None:
    assert unseen_difference(embedder, text, "".join(text)) is None


@settings(max_examples=300, deadline=None)
@given(a=st.text(max_size=30), b=st.text(max_size=30))
def test_what_one_sees_another_sees(a, b) -> None:
    assert (unseen_difference(ONNX, a, b) is None) == (unseen_difference(ONNX, b, a) is None)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(), max_size=12), base=BASE)
def test_texts_of_the_same_pieces_differ_where_it_is_not_white_space_or_case(text, base) -> None:
    """Whatever is put in: if the model reads the same pieces as before, the texts are told apart."""
    pieces = ONNX._tokenizer().pieces
    changed = unicodedata.normalize("NFC", base + text)
    if pieces(changed) == pieces(base) and not text.isspace() and text:
        assert unseen_difference(ONNX, base, changed) or changed.strip() == base
