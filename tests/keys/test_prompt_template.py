"""Taking a prompt apart: fixed parts are scope, slots are the text."""

import logging
import re

import pytest

from semantic_llm_cache import Request
from semantic_llm_cache.keys.template import PromptTemplate, slots_of_text, text_of_slots

FORM = "Answer about {topic} using {context}."


def request(text: str, scope: object = None) -> Request:
    return Request("t", scope, text)


@pytest.mark.parametrize(
    "slots",
    [
        ["cats"], ["a", "b"], ["", "b"], ["a", ""], ["---", "----\n-- -\n---"], ["one\n---\ntwo", "\n\n"],
        ["-----", "", "-"],
    ],
)  # fmt: skip
def test_slots_can_be_read_back_from_their_text(slots):
    assert slots_of_text(text_of_slots(slots)) == slots


@pytest.mark.parametrize(
    ("template", "prompt", "slots"),
    [
        (FORM, "Answer about cats using a book.", {"topic": "cats", "context": "a book"}),
        (FORM, "  Answer about cats using a\r\nbook.\n", {"topic": "cats", "context": "a\nbook"}),
        (FORM, "Answer about using using using.", {"topic": "using", "context": "using"}),
        (FORM, "Answer about cats with a book.", None),
        (FORM, "Answer about cats using", None),
        ("{question}", "How old is Rome?", {"question": "How old is Rome?"}),
        ("{a} {{x}} {b}", "one {x} two", {"a": "one", "b": "two"}),
        ("{a:.2f} of {b!r}", "3.14 of pi", {"a": "3.14", "b": "pi"}),
        ("{x} and {y} and {x}", "a and b and a", {"x": "a", "y": "b"}),
        ("{x} and {y} and {x}", "a and b and c", None),
        (r"Tell me about (?P<topic>.+?)(?: in (?P<language>\w+))?", "Tell me about cats in Dutch",
         {"topic": "cats", "language": "Dutch"}),
        (re.compile(r"about (?P<topic>\w+)", re.IGNORECASE), "ABOUT cats", {"topic": "cats"}),
        (r"(?P<all>a(?P<part>b))", "ab", None),
    ],
)  # fmt: skip
def test_how_prompts_fit(template, prompt, slots):
    assert PromptTemplate(template).slots(prompt) == slots


@pytest.mark.parametrize(
    ("template", "exact", "error", "says"),
    [
        (7, (), TypeError, "prompt_template=7 is a int"),
        (re.compile(b"(?P<a>x)"), (), TypeError, "is a Pattern"),
        ("no slot", (), ValueError, "no named slot"),
        ("{} and {}", (), ValueError, "without a name"),
        ("{a}{b}", (), ValueError, "nothing between"),
        ("{a", (), ValueError, "no format string"),
        ("(?P<a>x", (), ValueError, "no valid regex"),
        ("{a} {b}", ("c",), ValueError, "'c' is no slot"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(template, exact, error, says):
    with pytest.raises(error, match=re.escape(says)):
        PromptTemplate(template, exact)


def test_the_fixed_parts_and_exact_slots_are_scope():
    template = PromptTemplate(FORM, exact=("topic",))
    one = template.applied(request("Answer about cats using a book."))
    assert (one.text, one.slots) == ("a book", 1)
    same_scope = template.applied(request("Answer about cats using two books."))
    other_topic = template.applied(request("Answer about dogs using a book."))
    other_words = PromptTemplate("Reply about {topic} using {context}.", "topic").applied(
        request("Reply about cats using a book.")
    )
    other_tenant = template.applied(request("Answer about cats using a book.", {"tenant": 2}))
    assert one.scope_hash == same_scope.scope_hash
    scopes = {one.scope_hash, other_topic.scope_hash, other_words.scope_hash, other_tenant.scope_hash}
    assert len(scopes) == 4
    assert one.scope_hash != request("Answer about cats using a book.").scope_hash
    assert template.applied(one) is one


def test_the_form_of_the_key_is_pinned():
    made = PromptTemplate(FORM, ("topic",)).applied(request("Answer about cats using a book."))
    assert made.key == "2:3bfbcb5044513e81265a6bd416768f2afd814a4a"


def test_what_differs_anywhere_in_the_prompt_differs_in_the_key():
    template = PromptTemplate(re.compile(r"about (?P<a>.*?) +using (?P<b>.*)", re.IGNORECASE | re.DOTALL))
    prompts = [
        "about cats using books", "About cats using books", "about cats  using books", "about cats using books using",
        "about cats\nusing books", "about cats using  books", "about cats using books\n---\nx",
    ]  # fmt: skip
    assert len({template.applied(request(prompt)).key for prompt in prompts}) == len(prompts)


def test_a_prompt_that_does_not_fit_stays_as_it_is_and_is_logged_once(caplog):
    template = PromptTemplate(FORM)
    asked = request("secret question")
    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        assert template.applied(asked) is asked
        assert template.applied(asked) is asked
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "does not fit prompt_template=" in caplog.text
    assert "secret" not in caplog.text


def test_a_key_of_the_callers_own_is_kept():
    asked = Request("t", None, "Answer about cats using a book.", key="mine")
    made = PromptTemplate(FORM).applied(asked)
    assert made.key == asked.key
    assert made.text == "cats\n---\na book"


def _applied(template: PromptTemplate, text: str) -> Request:
    return template.applied(Request("n", {}, text))


@pytest.mark.parametrize("template", ["Page: {page}\nQuestion: {question}\nAnswer:", r"Q: (?P<question>.*?)\nAnswer:"])
def test_white_space_at_the_end_of_a_slot_does_not_count(template: str) -> None:
    made = PromptTemplate(template)
    written = template if "{" in template else "Q: {question}\nAnswer:"
    plain = _applied(made, written.format(page="p", question="hello"))
    for question in ("hello ", "hello\n", "hello \n "):
        assert _applied(made, written.format(page="p", question=question)).key == plain.key
    assert _applied(made, written.format(page="p", question="hel lo")).key != plain.key
    assert _applied(made, written.format(page="p", question=" hello")).key != plain.key


def test_the_indentation_of_a_slot_of_several_lines_counts() -> None:
    made = PromptTemplate("Code:\n{code}\nWhat does it do?")
    texts = [f"Code:\n{code}\nWhat does it do?" for code in ("    a()\nb()", "a()\nb()", "a()\nb()  ")]
    first, second, third = (_applied(made, text).key for text in texts)
    assert first != second
    assert second == third
