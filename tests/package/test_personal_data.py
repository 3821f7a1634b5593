"""The ready-made redactor."""

import pytest

from semantic_llm_cache.utils import PersonalData


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to a.b+c@mail.example.co.uk, please", "Write to [EMAIL], please"),
        ("card 4111-1111-1111-1111 or 378282246310005", "card [CARD] or [CARD]"),
        ("to BE68 5390 0754 7034 next, GB29NWBK60161331926819", "to [IBAN] next, [IBAN]"),
        ("call +49 (0)30 1234567 or 555-123-4567", "call [PHONE] or [PHONE]"),
        ("key sk-proj-abcdefghijklmnop1234, AKIAIOSFODNN7EXAMPLE", "key [API-KEY], [API-KEY]"),
    ],
)
def test_what_has_a_form_is_masked(text, masked):
    assert PersonalData()(text) == masked
    assert PersonalData(store=False)(text) is None
    assert PersonalData().absent({"text": [text]}) is False


@pytest.mark.parametrize(
    "text",
    ["4111111111111112", "on 2024-01-15", "version 1.2.3.4", "pi is 3.14159265358979", "in 1990 1991 1992", "12345678"],
)
def test_other_numbers_are_left(text):
    assert PersonalData()(text) == text
    assert PersonalData(store=False)(text) == text
    assert PersonalData().absent(text)


def test_kinds_can_be_chosen():
    assert PersonalData("email")("a@b.example 4111111111111111") == "[EMAIL] 4111111111111111"
    with pytest.raises(ValueError, match="kinds='mail' is not known: use 'api-key', "):
        PersonalData(["mail"])
