"""Requests: what is text, what is scope, and the messages between."""

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache import CacheKeyError, Request
from semantic_llm_cache.keys.request import clean_text, looks_like_messages, split_messages


def user(content):
    return {"role": "user", "content": content}


SYSTEM = {"role": "system", "content": "Be short."}


def test_same_question_is_the_same_request():
    one, other = (Request("n", {"model": "m", "t": 0.5}, "What is Python?") for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert (one.key, one.scope_hash) == (other.key, other.scope_hash)
    assert one != "What is Python?"


@pytest.mark.parametrize(
    "other",
    [
        Request("other", {"model": "m"}, "q"),
        Request("n", {"model": "l"}, "q"),
        Request("n", {"model": "m", "t": 1}, "q"),
        Request("n", None, "q"),
        Request("n", {"model": "m"}, "r"),
        Request("n", {"model": "m"}, "q", key="q"),
    ],
)
def test_any_difference_is_another_request(other):
    request = Request("n", {"model": "m"}, "q")
    assert request.key != other.key
    assert request != other


def test_scope_hash_leaves_the_text_out():
    assert Request("n", {"m": 1}, "a").scope_hash == Request("n", {"m": 1}, "b").scope_hash


def test_a_given_key_replaces_the_text_within_its_scope():
    assert Request("n", 1, "a", key="k").key == Request("n", 1, "b", key="k").key
    assert Request("n", 1, "a", key="k").key != Request("n", 2, "a", key="k").key


def test_text_is_seen_in_nfc_with_line_feeds_and_no_outer_space():
    assert Request(text="  cafe\u0301\r\nb\rc \n").text == "café\nb\nc"
    assert Request(text="a  b\n    c").text == "a  b\n    c"  # inner space is meaning in code


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text):
    once = clean_text(text)
    assert clean_text(once) == once
    assert "\r" not in once


def test_repr_keeps_the_prompt_out():
    assert "secret question" not in repr(Request(text="secret question"))


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"namespace": ""}, ValueError, "namespace"),
        ({"namespace": 3}, TypeError, "namespace=3"),
        ({"text": 3}, TypeError, "text"),
        ({"scope": object()}, CacheKeyError, "no stable fingerprint"),
    ],
)
def test_bad_arguments_are_named(arguments, error, named):
    with pytest.raises(error, match=named):
        Request(**arguments)


# --------------------------------------------------------------------------------- messages


def test_the_last_user_turn_is_the_text_all_else_scope():
    text, rest = split_messages([SYSTEM, user("first"), {"role": "assistant", "content": "ok"}, user("second")])
    assert text == "second"
    assert SYSTEM in rest
    assert user("first") in rest
    assert "second" not in str(rest)


@pytest.mark.parametrize(
    "other",
    [
        [user("yes")],
        [SYSTEM, user("delete it?"), user("yes")],
        [user("yes"), {"role": "assistant", "content": "Su"}],
        [{"role": "user", "content": "yes", "name": "ann"}],
        [{"role": "system", "content": "Be long."}, user("yes")],
    ],
)
def test_another_history_is_another_scope(other):
    assert split_messages([SYSTEM, user("yes")]).rest != split_messages(other).rest


def test_content_parts():
    image = {"type": "image_url", "image_url": {"url": "data:1"}}
    text, rest = split_messages([user([{"type": "text", "text": "What is this?"}, image])])
    assert text == "What is this?"
    assert "data:1" in str(rest)
    other = split_messages([user([{"type": "text", "text": "What is this?"}, {**image, "image_url": {"url": "x"}}])])
    assert other.text == text
    assert other.rest != rest
    assert split_messages([user(["a", "b"])]).text == "a\nb"


def test_the_place_of_a_picture_among_the_text_counts():
    image = {"type": "image_url", "image_url": {"url": "data:1"}}
    words = {"type": "text", "text": "before or after"}
    assert split_messages([user([image, words])]).rest != split_messages([user([words, image])]).rest


class Message(pydantic.BaseModel):
    role: str
    content: str


class Human:
    type = "human"

    def __init__(self, content):
        self.content = content


def test_messages_as_models_and_objects():
    assert split_messages([Message(role="system", content="s"), Message(role="user", content="q")]).text == "q"
    assert split_messages([Human("q")]).text == "q"


def test_no_user_turn_means_no_text():
    assert split_messages([SYSTEM]) == ("", [SYSTEM])
    assert split_messages([user(None)]).text == ""


@pytest.mark.parametrize("value", [[], "text", [1], [{"content": "x"}], {"role": "user", "content": "x"}, None])
def test_what_is_no_list_of_messages(value):
    assert not looks_like_messages(value)
    with pytest.raises(CacheKeyError, match="messages must be a non-empty list"):
        split_messages(value)


# -------------------------------------------------------------- what else a turn and its parts hold


@pytest.mark.parametrize(
    "other",
    [
        [{"type": "text", "text": "a", "citations": ["x"]}],
        [{"type": "text", "text": "a", "custom": 1}],
        [{"type": "text", "text": "a"}, {"type": "text", "text": ""}],
    ],
)
def test_all_that_a_text_part_holds_beside_its_text_counts(other):
    plain = split_messages([user([{"type": "text", "text": "a"}])])
    assert split_messages([user(other)]).rest != plain.rest
    assert plain.rest == split_messages([user("a")]).rest


class Part(pydantic.BaseModel):
    type: str = "text"
    text: str


class Noted(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    role: str
    content: str
    _tenant: str = pydantic.PrivateAttr("")


class Slotted:
    __slots__ = ("content", "role", "tenant")

    def __init__(self, tenant):
        self.role, self.content, self.tenant = "user", "q", tenant


def test_all_that_a_turn_holds_counts():
    def noted(private, **extra):
        turn = Noted(role="user", content="q", **extra)
        turn._tenant = private
        return turn

    class Turn(dict):
        pass

    def subclass(tenant):
        turn = Turn(role="user", content="q")
        turn.tenant = tenant
        return turn

    for make in (noted, lambda tenant: noted("", tenant=tenant), Slotted, subclass):
        one, same, other = (split_messages([make(tenant)]).rest for tenant in ("a", "a", "b"))
        assert one == same != other
    plain = split_messages([user("q")]).rest
    assert split_messages([Message(role="user", content="q")]).rest == plain
    assert split_messages([user([Part(text="q")])]).rest == plain
