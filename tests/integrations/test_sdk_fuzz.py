"""Whatever a provider sends, an SDK's caller meets the same with the cache as without: answers and errors alike."""

import functools
import json

import anthropic
import httpx2
import openai
import pytest
import wire_provider
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.integrations.httpx import CachingTransport

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


class Told:
    answer = "Paris is the capital of France ({n})."
    thinking = None
    finish = None
    tool = None


class Wire(httpx2.BaseTransport):
    """Answers all requests with the same bytes, some at a time."""

    def __init__(self, data, kind, size):
        self.data, self.kind, self.size = data, kind, size

    def handle_request(self, request):
        parts = [self.data[i : i + self.size] for i in range(0, len(self.data), self.size)]
        return httpx2.Response(200, headers={"content-type": self.kind}, stream=_Stream(parts), request=request)


class _Stream(httpx2.SyncByteStream):
    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        yield from self.parts


class Switch(httpx2.BaseTransport):
    """Sends through the transport of the moment: making a client takes longer than a call."""

    def handle_request(self, request):
        return self.inner.handle_request(request)


@functools.cache
def openai_client():
    switch = Switch()
    http = httpx2.Client(transport=switch)
    client = openai.OpenAI(api_key="k", base_url="http://p/v1", max_retries=0, http_client=http)
    return switch, lambda stream: client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)


@functools.cache
def anthropic_client():
    switch = Switch()
    http = httpx2.Client(transport=switch)
    client = anthropic.Anthropic(api_key="k", base_url="http://p", max_retries=0, http_client=http)
    return switch, lambda stream: client.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=stream)


def outcome(way, transport, stream):
    """Return what a caller meets: an answer, or an error's type and words."""
    switch, ask = way()
    switch.inner = transport
    try:
        made = ask(stream)
        made = list(made) if stream else made
    except Exception as error:
        return type(error), str(error)
    if stream:
        return [event.to_dict(warnings=False) for event in made]
    return made.to_dict(warnings=False) if hasattr(made, "to_dict") else made


WAYS = {
    "openai": (openai_client, wire_provider.openai_chat),
    "anthropic": (anthropic_client, wire_provider.anthropic),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def damaged(data, value):
    """Return an answer with one of its parts put in another value's place, left out, or as it was."""
    places = []

    def walk(part):
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for name, inner in items:
            places.append((part, name))
            walk(inner)

    made = json.loads(json.dumps(value))
    walk(made)
    part, name = data.draw(st.sampled_from(places))
    change = data.draw(st.sampled_from(["put", "drop", "keep"]))
    if change == "put":
        part[name] = data.draw(VALUES)
    elif change == "drop":
        del part[name]
    return made


@pytest.mark.parametrize("name", WAYS)
@given(data=st.data(), stream=st.booleans(), size=st.integers(1, 400))
@settings(max_examples=200, deadline=None)
def test_the_sdk_meets_the_same_with_the_cache_as_without(name, data, stream, size):
    way, make = WAYS[name]
    whole = make(Told(), {"model": "m", "stream": stream}, 1)
    if stream:
        blocks = data.draw(st.permutations(whole) | st.just(whole) | st.lists(st.sampled_from(whole)))
        sent = "".join(blocks).encode()
        kind = "text/event-stream"
    else:
        sent = json.dumps(damaged(data, whole)).encode()
        kind = data.draw(st.sampled_from(["application/json", "text/html"]))
    sent = sent[: data.draw(st.integers(0, len(sent)) | st.just(len(sent)))]
    bare = outcome(way, Wire(sent, kind, size), stream)
    caching = CachingTransport(Wire(sent, kind, size), backend="memory://")
    for _ in range(2):
        told = outcome(way, caching, stream)
        if told != bare:
            # Nothing but what follows the last event of a stream may be missing.
            assert stream
            assert isinstance(told, list)
            assert told[-1]["type"] == "message_stop"
            assert isinstance(bare, tuple) or bare[: len(told)] == told
