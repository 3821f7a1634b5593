"""Settings by the category of a prompt."""

import asyncio
from typing import Any

import pytest

from semantic_llm_cache import CacheContext, Request, SemanticCache, last_lookup, report_right
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.learning import Verdict
from semantic_llm_cache.storage.records import Candidate

WEATHER = "What's the weather today in Oslo?"
FACT = "What is the capital of Norway?"
CODE = "How do I reverse a list in Python?"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def _cache(**options: Any) -> tuple[SemanticCache, Clock]:
    clock = Clock()
    return SemanticCache(MemoryBackend(), clock=clock, **options), clock


async def _ask(cache: SemanticCache, prompt: str, answer: str = "an answer") -> Lookup:
    async def call() -> str:
        return answer

    await cache.get_or_call(Request("default", {}, prompt), call)
    found = last_lookup()
    assert found is not None
    return found


async def _entry(cache: SemanticCache, prompt: str) -> Any:
    return await cache.backend.get(Request("default", {}, prompt).key)


# ------------------------------------------------------------------------------ by default


async def test_a_time_bound_answer_is_stored_for_five_minutes_and_the_lookup_says_so() -> None:
    cache, clock = _cache()
    found = await _ask(cache, WEATHER)
    assert (found.outcome, found.category) == ("miss", "time-bound")
    assert found.reason.endswith("time-bound: stored for 300 s")
    clock.now += 299
    found = await _ask(cache, WEATHER)
    assert (found.outcome, found.category) == ("exact", "time-bound")
    clock.now += 2
    assert (await _ask(cache, WEATHER)).outcome == "miss"


async def test_other_prompts_keep_the_ttl_of_the_cache() -> None:
    cache, _ = _cache(ttl="1d")
    found = await _ask(cache, FACT)
    assert found.category is None
    assert "stored for" not in found.reason
    assert (await _entry(cache, FACT)).ttl == 86400


@pytest.mark.parametrize(
    ("ttl", "kept"), [(None, 300), ("7d", 300), (60, 60), (lambda response, request: "2d", 172800)]
)
async def test_the_default_only_shortens_and_a_callable_decides_alone(ttl: Any, kept: float) -> None:
    cache, _ = _cache(ttl=ttl)
    await _ask(cache, WEATHER)
    assert (await _entry(cache, WEATHER)).ttl == kept


async def test_none_switches_it_off() -> None:
    cache, _ = _cache(ttl=None, categories=None)
    found = await _ask(cache, WEATHER)
    assert found.category is None
    assert (await _entry(cache, WEATHER)).ttl is None


async def test_a_context_and_the_call_itself_know_better() -> None:
    cache, _ = _cache()
    with CacheContext(ttl="1h"):
        found = await _ask(cache, WEATHER)
    assert "stored for" not in found.reason
    assert (await _entry(cache, WEATHER)).ttl == 3600
    await cache.store(Request("default", {}, WEATHER), "by hand", ttl=7200)
    assert (await _entry(cache, WEATHER)).ttl == 7200
    await cache.store(Request("default", {}, WEATHER), "by hand")
    assert (await _entry(cache, WEATHER)).ttl == 300
    with CacheContext(cache_control="ttl=900"):
        await _ask(cache, "Who won last night?")
    assert (await _entry(cache, "Who won last night?")).ttl == 900


async def test_no_old_answer_is_served_near_to_a_time_bound_prompt() -> None:
    cache, clock = _cache(embedder=lambda text: (1.0, 0.0), similarity=0.9, guards=None)
    await _ask(cache, "Oslo, and how its sky looks")  # nothing that the rules know
    clock.now += 200
    assert (await _ask(cache, WEATHER)).outcome == "near"
    clock.now += 200
    found = await _ask(cache, WEATHER, "fresh")
    assert found.outcome == "miss"
    assert found.reason == "time-bound: the answer is 400 s old, more than 300 s; time-bound: stored for 300 s"
    clock.now += 10
    found = await _ask(cache, "What will the weather be today in Oslo?")  # the older one hides no newer one
    assert (found.outcome, found.response, found.age) == ("near", None, 10)


async def test_an_alias_of_a_time_bound_prompt_is_kept_no_longer() -> None:
    cache, clock = _cache(embedder=lambda text: (1.0, 0.0), similarity=0.9, guards=None, ttl="1h")
    await _ask(cache, "Oslo, and how its sky looks")
    hit = await _ask(cache, WEATHER)
    assert hit.outcome == "near"
    await report_right(hit)
    assert (await _entry(cache, WEATHER)).ttl == 300
    clock.now += 301
    assert (await _ask(cache, WEATHER)).outcome == "miss"
    cache = cache.derive(categories={"time-bound": {"ttl": 0}})
    await cache.store(Request("default", {}, "Who won last night?"), "us", ttl=5)
    entry = await _entry(cache, "Who won last night?")
    assert not await cache.store_alias(Lookup("near", prompt="news of today", key="k"), Candidate("e", entry, 0.9))


# ------------------------------------------------------------------------------ settings by category


async def test_each_category_has_its_settings() -> None:
    cache, _ = _cache(categories={"code": {"ttl": "7d"}, "chat": {"enabled": False}, "time-bound": {"ttl": 0}})
    assert "code: stored for 604800 s" in (await _ask(cache, CODE)).reason
    assert (await _entry(cache, CODE)).ttl == 604800
    found = await _ask(cache, WEATHER)
    assert found.stored is False
    assert found.stored_reason == "ttl: category time-bound"
    assert found.reason.endswith("time-bound: not stored")
    found = await _ask(cache, "Hello there!")
    assert (found.outcome, found.category, found.reason) == ("bypass", "chat", "caching is off for chat")
    assert await _entry(cache, "Hello there!") is None
    assert (await _ask(cache, FACT)).category == "facts"


async def test_what_was_stored_before_a_category_was_switched_off_is_not_served() -> None:
    cache, _ = _cache()
    assert (await _ask(cache, "Hello there!")).stored
    cache = cache.derive(categories={"chat": {"enabled": False}})
    assert (await _ask(cache, "Hello there!")).outcome == "bypass"
    assert (await cache.lookup(Request("default", {}, "Hello there!"))).outcome == "bypass"
    assert not await cache.store(Request("default", {}, "Hello there!"), "hi")


async def test_a_category_has_its_own_threshold() -> None:
    vectors = {CODE: (1.0, 0.0), FACT: (1.0, 0.0)}
    cache, _ = _cache(
        embedder=lambda text: vectors.get(text, (0.96, 0.28)),
        similarity=0.9,
        guards=None,
        categories={"code": {"similarity": 0.97}},
    )
    await _ask(cache, FACT)
    assert (await _ask(cache, "Which city is the capital of Norway?")).outcome == "near"
    found = await _ask(cache, "How can I reverse a list in Python?")
    assert found.outcome == "miss"
    assert found.reason == "nearest 0.960 < 0.97"
    assert found.policy == "threshold 0.97"


async def test_a_category_can_have_near_matching_where_the_cache_has_none() -> None:
    cache, _ = _cache(embedder=lambda text: (1.0, 0.0), guards=None, categories={"chat": {"similarity": 0.9}})
    await _ask(cache, "Hello there!")
    assert (await _ask(cache, "hi")).outcome == "near"
    await _ask(cache, FACT)
    assert (await _ask(cache, "Who was Ibsen?")).outcome == "miss"


# ------------------------------------------------------------------------------ whose categories


async def test_a_callable_names_the_category() -> None:
    def billing(prompt: str) -> str | None:
        return "billing" if "invoice" in prompt else None

    cache, _ = _cache(category=billing, categories={"billing": {"ttl": "10m"}})
    found = await _ask(cache, "Where is my invoice?")
    assert found.category == "billing"
    assert (await _entry(cache, "Where is my invoice?")).ttl == 600
    assert (await _ask(cache, WEATHER)).category == "time-bound"  # None leaves it to the built-in rules


async def test_a_callable_may_return_the_settings_themselves() -> None:
    cache, _ = _cache(category=lambda prompt: {"ttl": len(prompt)})
    found = await _ask(cache, FACT)
    assert found.category == "custom"
    assert (await _entry(cache, FACT)).ttl == len(FACT)


async def test_a_name_holds_for_a_whole_function_and_for_a_context() -> None:
    cache, _ = _cache(categories={"code": {"ttl": 99}, "chat": {"ttl": 11}})

    @cache.cache(category="code")
    async def ask(prompt: str) -> str:
        return prompt

    _, found = await ask.with_lookup(FACT)
    assert (found.category, found.reason) == ("code", found.reason)
    assert found.reason.endswith("; code: stored for 99 s")
    with CacheContext(category="chat"):
        _, found = await ask.with_lookup("another prompt")
        assert found.category == "chat"
        _, found = await ask.with_lookup("another prompt")
        assert (found.outcome, found.category) == ("exact", "chat")


async def test_a_failing_callable_is_logged_and_the_built_in_rules_decide(caplog: Any) -> None:
    def bad(prompt: str) -> str:
        raise RuntimeError("no such thing")

    cache, _ = _cache(category=bad)
    assert (await _ask(cache, WEATHER)).category == "time-bound"
    assert "category= raised RuntimeError" in caplog.text
    cache, _ = _cache(category=lambda prompt: 7)
    assert (await _ask(cache, WEATHER)).category == "time-bound"
    assert "category= returned a value of type int" in caplog.text


# ------------------------------------------------------------------------------ through the doors


async def test_streams_have_categories() -> None:
    cache, clock = _cache(categories={"chat": {"enabled": False}})

    @cache.cache
    async def stream(prompt: str) -> Any:
        yield "a"
        yield "b"

    assert [chunk async for chunk in stream(WEATHER)] == ["a", "b"]
    assert last_lookup().reason.endswith("time-bound: stored for 300 s")
    clock.now += 301
    assert [chunk async for chunk in stream(WEATHER)] == ["a", "b"]
    assert last_lookup().outcome == "miss"
    assert [chunk async for chunk in stream("Hello there!")] == ["a", "b"]
    assert (last_lookup().outcome, last_lookup().category) == ("bypass", "chat")


def test_plain_functions_and_shadow_mode_have_categories() -> None:
    cache, _ = _cache()

    @cache.cache
    def ask(prompt: str) -> str:
        return prompt

    assert ask.with_lookup(WEATHER)[1].reason.endswith("time-bound: stored for 300 s")

    @cache.cache(mode="shadow")
    async def shadowed(prompt: str) -> str:
        return prompt

    found = asyncio.run(shadowed.with_lookup(WEATHER))[1]
    assert found.reason.endswith("time-bound: stored for 300 s")


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"categories": "all"}, ValueError, "categories='all'"),
        ({"categories": 3}, TypeError, "categories=3"),
        ({"categories": {"code": {"simlarity": 0.9}}}, TypeError, "did you mean 'similarity'"),
        ({"categories": {"code": {"similarity": 2}}}, ValueError, r"categories\['code'\]: similarity=2"),
        ({"categories": {"code": {"ttl": -1}}}, ValueError, r"categories\['code'\]: ttl=-1"),
        ({"categories": {"code": {"enabled": "no"}}}, TypeError, r"categories\['code'\]: enabled='no'"),
        ({"categories": {"code": 0.9}}, TypeError, r"categories\['code'\]=0.9"),
        ({"categories": {"time_bound": {"ttl": 5}}}, ValueError, "did you mean 'time-bound'"),
        ({"categories": {7: {}}}, TypeError, "7"),
        ({"categories": {"chat": {"max_error": 0.05}}}, ValueError, "max_error="),
        ({"category": 7}, TypeError, "category=7"),
        ({"category": ""}, ValueError, "category=''"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        SemanticCache(MemoryBackend(), **options)


def test_a_context_takes_a_name() -> None:
    with pytest.raises(TypeError, match="category=7"):
        CacheContext(category=7)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ error budgets


def _bounded() -> SemanticCache:
    return SemanticCache(
        MemoryBackend(),
        embedder=lambda text: (1.0, 0.0),
        max_error=0.02,
        seed=1,
        categories={"chat": {"max_error": 0.1, "similarity": 0.7}, "code": {"ttl": "1d"}},
    )


async def test_a_category_with_a_budget_has_a_policy_of_its_own() -> None:
    cache = _bounded()
    assert (await _ask(cache, FACT)).policy == "max_error 0.02"
    assert (await _ask(cache, "Hello there!")).policy == "max_error 0.1"
    assert (await _ask(cache, CODE)).policy == "max_error 0.02"  # code has no budget of its own
    await _ask(cache, "hi", "another answer")
    await _ask(cache, "hi")  # an exact hit
    await cache.lookup(Request("default", {}, "thanks"))
    general, chat = await cache.online_policy(), await cache.online_policy("chat")
    assert (chat.max_error, chat.floor, general.max_error, general.floor) == (0.1, 0.7, 0.02, 0.5)
    # Every request counts in exactly one budget.
    assert (general.summary()["requests"], chat.summary()["requests"]) == (2, 4)
    assert (general.summary()["exact"], chat.summary()["exact"]) == (0, 1)
    with pytest.raises(ValueError, match="'code'"):
        await cache.online_policy("code")


async def test_what_is_learned_from_an_answer_goes_to_the_budget_of_the_category() -> None:
    cache = _bounded()
    await _ask(cache, "Hello there!", "welcome")
    general, chat = await cache.online_policy(), await cache.online_policy("chat")
    before = general.to_bytes()
    call = Call(Request("default", {}, "hi"), cache.settings())
    found = await cache.search.find(call)
    asked = chat.to_bytes()
    assert found.choice is not None
    await cache.learning.observe(call, found.choice, 1.0)
    assert chat.to_bytes() != asked
    assert general.to_bytes() == before


async def test_a_category_without_a_budget_cannot_move_the_floor_of_a_shared_one() -> None:
    options: dict[str, Any] = {"max_error": 0.02, "categories": {"code": {"similarity": 0.9}}}
    with pytest.raises(ValueError, match="error budget"):
        SemanticCache(MemoryBackend(), embedder=lambda text: (1.0, 0.0), **options)


async def test_feedback_reaches_the_budget_of_the_category() -> None:
    cache = _bounded()
    general, chat = await cache.online_policy(), await cache.online_policy("chat")
    before = general.to_bytes(), chat.to_bytes()
    await cache.store(Request("default", {}, "Hello there!"), "an answer")
    key = Request("default", {}, "Hello there!").key
    entry = await cache.backend.get(key)
    await cache.learn(Verdict(False, key, True, "default", entry, None))  # as another process would report it
    assert general.to_bytes() == before[0]
    assert chat.to_bytes() != before[1]
