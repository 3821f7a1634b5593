"""A small program with a cache: it writes the data in ``data/`` and asks for it again in the tests.

Its name, its functions and their parameters are part of the keys: change nothing here without writing the data
anew. It uses the public API alone. `ask` runs one of `CASES`; `fill` asks all of them of an empty cache.
"""

import asyncio
import datetime as dt
import inspect
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

import httpx
import numpy as np
import pydantic

from semantic_llm_cache import (
    CacheConfig,
    CachedLLM,
    Lookup,
    Request,
    SemanticCache,
    StorageBackend,
    cache,
    export_cache,
    get_default_backend,
    last_lookup,
    report_right,
)
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.integrations.httpx import CachingTransport
from semantic_llm_cache.matching.online import OnlinePolicy
from semantic_llm_cache.similarity import EmbeddingProvider

# Entries must not expire, and trouble must not look like a miss.
OPTIONS: dict[str, Any] = {"ttl": None, "timeout": None, "on_error": "raise"}

called: list[str] = []
"""The questions that reached the model."""


def model(question: str, answer: Any) -> Any:
    """Note that the model is asked, and give the answer."""
    called.append(question)
    return answer


class Words(EmbeddingProvider):
    """Vectors of the words in a text, the same in every process: no model is needed."""

    fingerprint = "compat words, 64 dimensions"

    def encode_batch(self, texts: Sequence[str]) -> Any:
        """Return the sum of one random vector for each word, at unit length."""
        rows = np.array([np.sum([_vector(word) for word in _words(text)], axis=0) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower()) or ["nothing"]


def _vector(word: str) -> Any:
    seed = int.from_bytes(sha256(word.encode()).digest()[:4], "little")
    return np.random.RandomState(seed).standard_normal(64)


NEAR: dict[str, Any] = {**OPTIONS, "similarity": 0.8, "embedder": Words()}

# ---------------------------------------------------------------------- what is cached


@cache(**OPTIONS)
def capital(prompt: str, country: str = "any") -> str:
    """A plain function in the namespace "default", where its name is a part of the key."""
    return model(prompt, f"Paris ({country}).")


@cache(**OPTIONS)
async def chat(messages: list[dict[str, Any]], model_name: str = "small", temperature: float = 1.0) -> dict[str, Any]:
    """Messages: the last user turn is the text, the rest is scope."""
    return model(messages[-1]["content"], {"text": "Blue.", "usage": {"input": 11, "output": 2}, "model": model_name})


class Country(pydantic.BaseModel):
    """A pydantic answer."""

    name: str
    population: int
    founded: dt.date | None = None


@cache(**OPTIONS, tags=("places", "countries"))
async def country(question: str) -> Country:
    """Rebuilt through the return annotation."""
    return model(question, Country(name="France", population=68_000_000, founded=dt.date(843, 8, 10)))


@dataclass
class City:
    """A dataclass answer."""

    name: str
    area: Decimal
    seen: dt.datetime
    twins: tuple[str, ...]


CITY = City("Lyon", Decimal("47.87"), dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc), ("Milan", "Leipzig"))


@cache(**OPTIONS, tags=lambda query, **_: ["places", f"length-{len(query)}"], ignore=("client",), version=3)
def city(query: str, client: object = None) -> City:
    """Tags made from the call, a parameter left out, a version."""
    return model(query, CITY)


TYPES = {
    "tuple": (1, 2.5, None),
    "set": {"a", "b"},
    "bytes": b"\x00\xff",
    "uuid": uuid.UUID(int=7),
    "time": dt.timedelta(minutes=90),
    3: ["a number for a key", {"nested": frozenset({1})}],
}


@cache(**OPTIONS, namespace="types", scope={"tenant": "blue"})
async def types(prompt: str) -> Any:
    """What JSON alone does not know, in a namespace and a scope of its own."""
    return model(prompt, TYPES)


@cache(**OPTIONS, namespace="types", key_func=lambda prompt: prompt.casefold())
def folded(prompt: str) -> list[str]:
    """A key of the program's own."""
    return model(prompt, ["one", "two"])


@cache(**OPTIONS, tags=("streams",))
async def streamed(prompt: str) -> AsyncIterator[str]:
    """An async stream."""
    for piece in model(prompt, ["Once ", "upon ", "a time."]):
        yield piece


@cache(**OPTIONS, tags=("streams",))
def counted(prompt: str) -> Iterator[int]:
    """A plain stream."""
    yield from model(prompt, [1, 2, 3])


class Bot:
    """An instance whose fields are scope; those of the cache's own types do not count."""

    def __init__(self, style: str) -> None:
        self.style = style
        self.config = CacheConfig(namespace="bots")
        self.cache = SemanticCache("memory://")
        self.storage = MemoryBackend()
        self.embedder = Words()

    @cache(**OPTIONS)
    async def ask(self, prompt: str) -> str:
        """A method."""
        return model(prompt, f"Hello, {self.style}.")


@cache(**NEAR, namespace="advice", tags=("advice",))
async def advise(prompt: str, product: str = "mail") -> str:
    """Answers near questions too."""
    return model(prompt, f"Click on Forgot password in {product}.")


@cache(**NEAR)
def convert(prompt: str) -> str:
    """The same for a plain function, without a namespace."""
    return model(prompt, "Multiply by 1.609.")


@cache(**{**NEAR, "similarity": 0.5}, namespace="learned", max_error=0.2, seed=5)
async def learned(prompt: str) -> str:
    """Has an error budget that is saved beside the entries."""
    return model(prompt, f"About {_words(prompt)[-1]}.")


def through_a_client(prompt: str) -> Any:
    """Ask an OpenAI endpoint that is cached below the client."""

    def answer(request: httpx.Request) -> httpx.Response:
        said = model(prompt, {"role": "assistant", "content": "Four."})
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small"}
        return httpx.Response(200, json={**body, "choices": [choice], "usage": usage})

    return _posted(answer, prompt).json()["choices"][0]["message"]


CHUNK = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "small"}
CHOICES = [
    {"index": 0, "delta": {"role": "assistant", "content": "Fi"}, "finish_reason": None},
    {"index": 0, "delta": {"content": "ve."}, "finish_reason": None},
    {"index": 0, "delta": {}, "finish_reason": "stop"},
]
EVENTS = "".join(f"data: {json.dumps({**CHUNK, 'choices': [choice]})}\n\n" for choice in CHOICES) + "data: [DONE]\n\n"


def streamed_through_a_client(prompt: str) -> str:
    """The same for a stream of events."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=model(prompt, EVENTS))

    return _posted(answer, prompt, stream=True).text


def _posted(answer: Callable[[httpx.Request], httpx.Response], prompt: str, **options: Any) -> httpx.Response:
    door = CachingTransport(httpx.MockTransport(answer), **OPTIONS, namespace="client")
    body = {"model": "small", "temperature": 0, "messages": [{"role": "user", "content": prompt}], **options}
    with httpx.Client(transport=door) as client:
        url, headers = "https://models.example/v1/chat/completions", {"authorization": "Bearer secret"}
        return client.post(url, json=body, headers=headers)


async def with_a_request(text: str) -> Any:
    """Ask with a `Request` made by hand."""
    request = Request("requests", {"model": "small", "tools": ["search"], "since": dt.date(2026, 1, 1)}, text)

    async def call() -> list[int]:
        return model(text, [1, 2])

    return await SemanticCache(**OPTIONS).get_or_call(request, call)


async def with_cached_llm(prompt: str) -> Any:
    """Ask through `CachedLLM`."""
    llm = CachedLLM("own", "small", **OPTIONS, namespace="llm")
    return await llm.achat(prompt, llm_func=lambda prompt, **_: model(prompt, "Seven."), temperature=0.5)


async def collected(stream: AsyncIterator[Any]) -> list[Any]:
    """Return the chunks of a stream."""
    return [piece async for piece in stream]


# ---------------------------------------------------------------------- what is asked


class Case(NamedTuple):
    """One question: how it is asked, the answer, and how the filled cache finds it."""

    name: str
    ask: Callable[[], Any]
    answer: Any
    outcome: str = "exact"


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What colour is the sky?"}]
RESET = "How do I reset my password in the settings"
MILES = "How do I turn a distance in miles into kilometres"

EXACT = [
    Case("plain function", lambda: capital("What is the capital of France?"), "Paris (any)."),
    Case("other arguments", lambda: capital("What is the capital of France?", country="fr"), "Paris (fr)."),
    Case(
        "messages",
        lambda: chat(MESSAGES, model_name="large", temperature=0.25),
        {"text": "Blue.", "usage": {"input": 11, "output": 2}, "model": "large"},
    ),
    Case(
        "pydantic model",
        lambda: country("Where is Lyon?"),
        Country(name="France", population=68_000_000, founded=dt.date(843, 8, 10)),
    ),
    Case("dataclass", lambda: city("Tell me about Lyon.", client=object()), CITY),
    Case("types", lambda: types("Give me one of each."), TYPES),
    Case("own key", lambda: folded("COUNT to two."), ["one", "two"]),
    Case("async stream", lambda: collected(streamed("Tell me a story.")), ["Once ", "upon ", "a time."]),
    Case("plain stream", lambda: list(counted("Count to three.")), [1, 2, 3]),
    Case("method", lambda: Bot("friend").ask("Say hello."), "Hello, friend."),
    Case("client", lambda: through_a_client("What is two plus two?"), {"role": "assistant", "content": "Four."}),
    Case("client stream", lambda: streamed_through_a_client("What is two plus three?"), EVENTS),
    Case("request", lambda: with_a_request("Give me two numbers."), [1, 2]),
    Case("CachedLLM", lambda: with_cached_llm("What is three plus four?"), "Seven."),
    Case("near question as stored", lambda: advise(RESET), "Click on Forgot password in mail."),
    Case("plain near question as stored", lambda: convert(MILES), "Multiply by 1.609."),
]
ALIAS = Case("alias", lambda: advise(f"{RESET} dialog"), "Click on Forgot password in mail.")
CASES = [
    *EXACT,
    ALIAS,
    Case("near question", lambda: advise(f"{RESET}, please"), "Click on Forgot password in mail.", "near"),
    Case("plain near question", lambda: convert(f"{MILES}, please"), "Multiply by 1.609.", "near"),
]

TOPICS = ["tides", "rain", "snow", "wind"]


async def learn() -> None:
    """Ask questions that the error budget learns from."""
    for start in ("Please tell me all about", "Please tell me all there is about", "Please tell me about"):
        for topic in TOPICS:
            await learned(f"{start} {topic}")


async def ask(case: Case) -> tuple[Any, Lookup | None]:
    """Return the answer to a question, and what happened to it."""

    def plainly() -> tuple[Any, Lookup | None]:
        value = case.ask()
        return value, last_lookup()

    # Plain functions wait where they are called, so they are called in a thread.
    value, lookup = await asyncio.to_thread(plainly)
    return (await value, last_lookup()) if inspect.isawaitable(value) else (value, lookup)


async def fill() -> None:
    """Fill the default backend, which is empty, and close it.

    Raises:
        AssertionError: something came out of the cache that should have come from the model, or the other way.
    """
    async with SemanticCache(get_default_backend()):
        for case in EXACT:
            await _expect(case, "miss")
        for case in EXACT[:3]:  # hits that are counted in the entries
            await _expect(case, "exact")
        lookup = await _expect(ALIAS, "near")
        assert await report_right(lookup), "the alias was not stored"
        await learn()


async def _expect(case: Case, outcome: str) -> Lookup:
    value, lookup = await ask(case)
    assert lookup is not None, f"{case.name}: nothing was looked up"
    assert (value, lookup.outcome) == (case.answer, outcome), f"{case.name}: {value!r}, {lookup}"
    return lookup


async def contents(backend: StorageBackend) -> dict[str, Any]:
    """Return what a backend holds beside the answers, as JSON has it.

    ``entries``: their fields but key, answer and vector; ``counters`` by namespace; ``budget``: the requests that each
    saved error budget has counted.
    """
    entries = [
        {name: value for name, value in entry.items() if name not in ("key", "response", "embedding")}
        for entry in await export_cache(backend=backend)
    ]
    budget = {}
    for name in await backend.list_states("online:"):
        saved = await backend.get_state(name)
        assert saved is not None, f"{name} is listed and not there"
        budget[name] = OnlinePolicy.from_bytes(saved).summary()["requests"]
    entries.sort(key=lambda entry: (entry["created_at"], entry["prompt"]))
    counters = {space: dict(counts) for space, counts in sorted((await backend.get_counters()).items())}
    return {"entries": entries, "counters": counters, "budget": budget}
