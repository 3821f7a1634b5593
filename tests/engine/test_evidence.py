"""`depends_on`: an answer is served only while what it rests on has not changed."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache import CacheContext, SemanticCache, invalidate, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.calls.evidence import evidence_of, evidence_tags, read_dependencies

QUESTION = "How do I reset the router?"


class Store:
    """A knowledge base with versions, which counts how often it is asked."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions
        self.asked: list[str] = []

    def version_of(self, name: str) -> str | None:
        self.asked.append(name)
        return self.versions.get(name)


def _ask(engine: SemanticCache, **options: Any) -> Any:
    @engine.cache(ignore=("docs",), depends_on=lambda question, docs=(): docs, **options)
    async def ask(question: str, docs: Any = ()) -> str:
        ask.calls += 1  # type: ignore[attr-defined]
        return f"answer {ask.calls}"  # type: ignore[attr-defined]

    ask.calls = 0  # type: ignore[attr-defined]
    return ask


async def test_another_version_of_a_document_is_a_miss_that_names_it() -> None:
    ask = _ask(SemanticCache(MemoryBackend()))
    assert await ask(QUESTION, {"doc:17": "v3"}) == "answer 1"
    assert await ask(QUESTION, {"doc:17": "v3"}) == "answer 1"
    assert await ask(QUESTION, {"doc:17": "v4"}) == "answer 2"
    assert last_lookup().reason == "rests on doc:17, which has changed"
    assert await ask(QUESTION, {"doc:17": "v4"}) == "answer 2"
    assert ask.calls == 2


async def test_version_of_is_asked_at_each_hit_for_all_that_the_stored_answer_rests_on() -> None:
    store = Store(a="1", b="1")
    ask = _ask(SemanticCache(MemoryBackend()), version_of=store.version_of)
    assert await ask(QUESTION, ("a", "b")) == "answer 1"
    assert await ask(QUESTION, ("a", "b")) == "answer 1"
    assert await ask(QUESTION) == "answer 1"  # the stored answer's own documents count
    store.versions["b"] = "2"
    assert await ask(QUESTION, ("a",)) == "answer 2"
    assert last_lookup().reason == "rests on b, which has changed"
    del store.versions["a"]
    assert await ask(QUESTION, ("b",)) == "answer 3"
    assert last_lookup().reason == "rests on a, which is gone or cannot be checked"


async def test_a_version_is_the_one_from_before_the_call() -> None:
    store = Store(a="1")
    engine = SemanticCache(MemoryBackend(), version_of=store.version_of)

    @engine.cache(depends_on=("a",))
    async def ask(question: str) -> str:
        seen = store.versions["a"]
        store.versions["a"] = "2"  # it changes while the model thinks
        return seen

    assert await ask(QUESTION) == "1"
    assert await ask(QUESTION) == "2"
    assert await ask(QUESTION) == "2"


async def test_a_near_hit_is_checked_as_well_and_a_farther_live_entry_is_not_hidden() -> None:
    vectors = {"one": (1.0, 0.0), "two": (0.98, 0.199), "three": (0.95, 0.312)}

    def embed(text: str) -> Any:
        return vectors[text]

    store = Store(a="1", b="1")
    engine = SemanticCache(MemoryBackend(), embedder=embed, similarity=0.9, guards=None, version_of=store.version_of)

    @engine.cache(ignore=("docs",), depends_on=lambda question, docs: docs)
    async def ask(question: str, docs: Any) -> str:
        return question

    await ask("three", ("b",))
    with CacheContext(cache_control="no-cache"):
        await ask("two", ("a",))
    store.versions["a"] = "2"
    lookup = await ask.cache_lookup("one", ())
    assert (lookup.outcome, lookup.response) == ("near", "three")


@pytest.mark.parametrize(
    ("fresh", "hit"), [(("a", "b", "c"), True), (("a", "b", "d"), False), (("d", "e"), False), ((), False)]
)
async def test_a_near_hit_can_require_the_same_documents(fresh: Iterable[str], hit: bool) -> None:
    engine = SemanticCache(
        MemoryBackend(), embedder=lambda text: (1.0, 0.0), similarity=0.9, guards=None, evidence_overlap=0.6
    )
    ask = _ask(engine)
    await ask("What is the refund period?", ("a", "b", "c"))
    lookup = await ask.cache_lookup("How long can I ask for a refund?", fresh)
    assert lookup.hit is hit
    if not hit:
        assert lookup.reason.startswith("rests on other documents: overlap ")


async def test_concurrent_calls_share_one_only_if_they_rest_on_the_same() -> None:
    started = asyncio.Event()
    engine = SemanticCache(MemoryBackend(), embedder=lambda text: (1.0, 0.0), similarity=0.9, guards=None)
    seen = []

    @engine.cache(ignore=("docs",), depends_on=lambda question, docs: docs)
    async def ask(question: str, docs: dict[str, str]) -> str:
        seen.append(docs["a"])
        await started.wait()
        return docs["a"]

    calls = [asyncio.ensure_future(ask(question, {"a": version})) for version in "1122" for question in ("x?", "y?")]
    while len(seen) < 2:  # noqa: ASYNC110 - an event would be set by the code under test
        await asyncio.sleep(0.001)
    started.set()
    answers = await asyncio.gather(*calls)
    assert answers == ["1", "1", "1", "1", "2", "2", "2", "2"]


async def test_streams_are_checked_and_shared_the_same_way() -> None:
    engine = SemanticCache(MemoryBackend())
    calls = 0

    @engine.cache(ignore=("docs",), depends_on=lambda question, docs: docs)
    async def ask(question: str, docs: dict[str, str]) -> Any:
        nonlocal calls
        calls += 1
        for _ in range(2):
            await asyncio.sleep(0.001)
            yield docs["a"]

    async def whole(version: str) -> str:
        return "".join([chunk async for chunk in ask(QUESTION, {"a": version})])

    assert await asyncio.gather(*(whole(v) for v in "1212")) == ["11", "22", "11", "22"]
    assert calls == 2
    assert await whole("2") == "22"


def test_plain_functions_on_a_file(tmp_path: Any) -> None:
    store = Store(a="1")
    here = threading.current_thread()
    threads = set()

    def version_of(name: str) -> str | None:
        threads.add(threading.current_thread() is here)
        return store.version_of(name)

    engine = SemanticCache(SQLiteBackend(tmp_path / "c.db"), version_of=version_of)
    calls = []

    @engine.cache(depends_on=("a",))
    def ask(question: str) -> int:
        calls.append(question)
        return len(calls)

    assert [ask(QUESTION), ask(QUESTION)] == [1, 1]
    store.versions["a"] = "2"
    assert [ask(QUESTION), ask(QUESTION)] == [2, 2]
    assert threads == {False}
    asyncio.run(engine.close())


async def test_a_failing_version_of_costs_the_hit_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    def version_of(name: str) -> str:
        raise ConnectionError("down")

    ask = _ask(SemanticCache(MemoryBackend()), version_of=version_of)
    assert [await ask(QUESTION, {"a": "1"}), await ask(QUESTION)] == ["answer 1", "answer 2"]
    assert await ask(QUESTION, ("a",)) == "answer 2"  # which rests on nothing
    assert caplog.text.count("version_of failed") == 1


@pytest.mark.parametrize("before", [None, ConnectionError("down"), ""])
async def test_an_answer_whose_version_was_not_known_is_not_served_once_it_is(before: Any) -> None:
    present = [before]

    def version_of(name: str) -> Any:
        if isinstance(present[0], Exception):
            raise present[0]
        return present[0]

    ask = _ask(SemanticCache(MemoryBackend()), version_of=version_of)
    assert await ask(QUESTION, ("a",)) == "answer 1"
    present[0] = "2"
    assert await ask(QUESTION, ("a",)) == "answer 2"
    assert last_lookup().reason.startswith("rests on a, ")
    assert await ask(QUESTION, ("a",)) == "answer 2"


async def test_an_empty_version_is_a_version() -> None:
    ask = _ask(SemanticCache(MemoryBackend()))
    assert await ask(QUESTION, {"a": ""}) == "answer 1"
    assert await ask(QUESTION, {"a": ""}) == "answer 1"
    assert await ask(QUESTION, {"a": "2"}) == "answer 2"
    assert await ask(QUESTION, {"a": ""}) == "answer 3"


async def test_a_name_without_a_version_keeps_the_version_given_outside() -> None:
    ask = _ask(SemanticCache(MemoryBackend()))

    async def with_version(version: str) -> str:
        with CacheContext(depends_on={"a": version}), CacheContext(depends_on="a"):
            answer: str = await ask(QUESTION, ("a",))
            return answer

    assert [await with_version(v) for v in "1122"] == ["answer 1", "answer 1", "answer 2", "answer 2"]


@pytest.mark.parametrize("plain", [False, True])
async def test_a_version_of_that_hangs_costs_no_more_than_the_timeout(
    plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    freed = threading.Event()

    async def hangs(name: str) -> str:
        await asyncio.sleep(60)
        return "1"

    version_of: Any = (lambda name: freed.wait(60)) if plain else hangs
    ask = _ask(SemanticCache(MemoryBackend(), version_of=version_of, timeout=0.05))
    try:
        answers = [await asyncio.wait_for(ask(QUESTION, given), 5) for given in (("a",), ("a",), {"a": "1"})]
    finally:
        freed.set()
    assert answers == ["answer 1", "answer 2", "answer 3"]
    assert "version_of failed (no answer in time)" in caplog.text


async def test_invalidate_by_what_answers_rest_on() -> None:
    backend = MemoryBackend()
    ask = _ask(SemanticCache(backend))
    await ask("one", {"doc:17": "v3", "doc:18": "v1"})
    await ask("two", ("doc:18",))
    await ask("three", ("doc:1",))
    assert await invalidate(depends_on="doc:17", backend=backend) == 1
    assert await invalidate(depends_on=("doc:17", "doc:18"), backend=backend) == 1
    assert (await backend.get_stats())["size"] == 1


async def test_a_context_says_it_for_all_calls_inside() -> None:
    engine = SemanticCache(MemoryBackend())
    calls = 0

    @engine.cache
    async def ask(question: str) -> int:
        nonlocal calls
        calls += 1
        return calls

    async def with_version(version: str) -> int:
        with CacheContext(depends_on={"kb": version}):
            return await ask(QUESTION)

    assert [await with_version(v) for v in "1122"] == [1, 1, 2, 2]
    with CacheContext(depends_on={"kb": "2"}), CacheContext(depends_on={"doc": "1"}):
        assert await ask(QUESTION) == 2
        await ask("another question")
    lookup_entry = [entry async for _, entry in engine.backend.scan() if entry.prompt == "another question"]
    assert evidence_of(lookup_entry[0].tags) == {"kb": "2", "doc": "1"}


async def test_entries_stored_directly_carry_it() -> None:
    from semantic_llm_cache import Request

    engine = SemanticCache(MemoryBackend(), depends_on={"kb": "7"})
    request = Request("n", None, "q")
    await engine.store(request, "a")
    assert (await engine.lookup(request)).hit
    assert not (await engine.derive(depends_on={"kb": "8"}).lookup(request)).hit
    assert (await engine.derive(depends_on=()).lookup(request)).hit  # who says nothing is not checked


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (7, TypeError, "depends_on=7 is of type int"),
        ({"a": {}}, TypeError, "the version of 'a' is of type dict"),
        ([1], TypeError, "has a name of type int"),
        ({"a": object()}, TypeError, "the version of 'a' is of type object"),
        ({"a": len}, TypeError, "the version of 'a' is of type builtin_function_or_method"),
        ([""], ValueError, "has an empty name"),
        (b"x", TypeError, "is of type bytes"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_how(value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=r"give names with versions|give text or a number") as caught:
        SemanticCache(MemoryBackend(), depends_on=value)
    assert text in str(caught.value)


def test_halves_of_surrogate_pairs_side_by_side_stay_apart() -> None:
    versions: dict[str, str | None] = {"d\ud83d\ude00": "\ud83d\ude00", "d\U0001f600": "2", "\x00\u2028": "\n"}
    assert evidence_of(evidence_tags(versions)) == versions


@given(st.dictionaries(st.text(min_size=1), st.none() | st.text()))
def test_what_an_entry_rests_on_comes_back_from_its_labels(versions: dict[str, str | None]) -> None:
    tags = ("function:f", "version:x", *evidence_tags(versions))
    assert evidence_of(tags) == versions == read_dependencies(versions)


@pytest.mark.parametrize("name", ["evidence_overlap", "jitter"])
@pytest.mark.parametrize(("value", "error"), [(1.5, ValueError), (-1, ValueError), (False, TypeError), ("", TypeError)])
def test_a_share_beyond_its_bounds_is_refused(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"{name}=.* from 0 to 1, such as 0\.1") as caught:
        SemanticCache(MemoryBackend(), **{name: value})
    assert "exact" not in str(caught.value)


async def test_a_version_of_that_returns_what_has_no_text_costs_the_hit(caplog: pytest.LogCaptureFixture) -> None:
    ask = _ask(SemanticCache(MemoryBackend(), version_of=lambda name: object()))
    assert [await ask(QUESTION, ("a",)) for _ in range(2)] == ["answer 1", "answer 2"]
    assert "version_of failed (TypeError" in caplog.text


async def test_a_callable_that_does_not_take_the_arguments_of_the_call_says_so() -> None:
    for option in ("depends_on", "tags"):

        @SemanticCache(MemoryBackend()).cache(ignore=("docs",), **{option: lambda question: ("a",)})
        async def ask(question: str, docs: Any) -> str:
            return question

        with pytest.raises(
            TypeError, match=rf"^{option}= is called with the arguments of the call to .*ask: .*too many"
        ):
            await ask("hello", ("a",))
        with pytest.raises(TypeError, match=rf"^{option}= .*unexpected keyword argument 'docs'"):
            await ask("hello", docs=("a",))


async def test_a_type_error_within_a_callable_stays_what_it_is() -> None:
    @SemanticCache(MemoryBackend()).cache(depends_on=lambda question: question + 1)
    async def ask(question: str) -> str:
        return question

    with pytest.raises(TypeError, match="concatenate"):
        await ask("hello")


class _AsyncCall:
    async def __call__(self, question: str) -> Any:
        return ()


async def _names(question: str) -> Any:
    return ()


@pytest.mark.parametrize("option", ["depends_on", "tags"])
@pytest.mark.parametrize("given", [_names, _AsyncCall()])
def test_an_async_callable_is_refused_when_decorating(option: str, given: Any) -> None:
    async def ask(question: str) -> str:
        return question

    with pytest.raises(TypeError, match=rf"{option}=.* must be a plain function of the call's arguments"):
        SemanticCache(MemoryBackend()).cache(ask, **{option: given})


async def test_a_cache_says_where_a_callable_belongs() -> None:
    with pytest.raises(TypeError, match="a callable can only be given with a decorated function"):
        SemanticCache(MemoryBackend(), depends_on=lambda question: ())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^depends_on=.* is of type"):
        await _ask(SemanticCache(MemoryBackend()))(QUESTION, 7)


async def test_the_whole_document_as_its_version_is_kept_as_a_hash() -> None:
    backend = MemoryBackend()
    ask = _ask(SemanticCache(backend))
    text = "word " * 10_000
    answers = [await ask(QUESTION, {"a": version}) for version in (text, text, text + "!", text + "!")]
    assert answers == ["answer 1", "answer 1", "answer 2", "answer 2"]
    async for _, entry in backend.scan():
        assert max(map(len, entry.tags)) < 200
