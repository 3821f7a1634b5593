import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache.utils import estimate_tokens, hash_prompt, normalize_prompt


@pytest.mark.parametrize(
    ("prompt", "normal"),
    [
        ("  What is   Python? ", "what is python"),
        ("WHAT IS PYTHON", "what is python"),
        ("What\n\tis Python?!", "what is python"),
        ("Straße", "strasse"),
        ("cafe\u0301", "café"),
        ("?", "?"),
        ("", ""),
        ("a.b c?", "a.b c"),
    ],
)
def test_normalize(prompt, normal):
    assert normalize_prompt(prompt) == normal


@given(st.text())
def test_normalizing_drops_nothing_but_space_and_end_marks(text):
    normal = normalize_prompt(text)
    assert normal == normal.strip()
    assert "  " not in normal
    if text.strip():
        assert normal


def test_hash_tells_prompts_and_namespaces_apart():
    assert hash_prompt("a") == hash_prompt("a", "default")
    hashes = {hash_prompt("a"), hash_prompt("b"), hash_prompt("a", "n"), hash_prompt("na", "x"), hash_prompt("a", "xn")}
    assert len(hashes) == 5
    assert all(len(h) == 40 for h in hashes)
    assert hash_prompt("What is Python?") == "451aeb64982fb5ad1b72754cf8dabf95b7c42be0"
    assert len(hash_prompt("\ud800")) == 40


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("a", 1, 1),
        ("The quick brown fox jumps over the lazy dog.", 8, 14),
        ("def f(x):\n    return x + 1\n", 5, 14),
        ("素早い茶色の狐", 4, 8),
    ],
)
def test_tokens_are_about_right(text, least, most):
    assert least <= estimate_tokens(text) <= most


@given(st.text(min_size=1), st.text(min_size=1))
def test_more_text_is_no_fewer_tokens(one, other):
    assert estimate_tokens(one + other) >= max(estimate_tokens(one), estimate_tokens(other)) >= 1
