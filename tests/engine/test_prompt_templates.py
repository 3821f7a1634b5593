"""`prompt_template=`: through the engine, the decorator and the doors."""

import asyncio

import pytest

from semantic_llm_cache import CachedLLM, Request, SemanticCache, cache
from semantic_llm_cache.storage.registry import shared_backend

FORM = "Answer the question of a customer about {topic}, using this page: {context} Do not guess."
PAGE = "We sell food and toys for animals, and our veterinarians give advice on weekdays from nine to five. " * 4


def engine(**options):
    return SemanticCache("memory://", **{"embedder": "onnx", "similarity": 0.85, "prompt_template": FORM, **options})


async def looked_up(cache, stored, asked):
    await cache.store(Request("n", None, FORM.format(**stored)), "stored")
    return await cache.lookup(Request("n", None, FORM.format(**asked)))


async def test_one_differing_word_in_a_slot_is_seen_however_long_the_others_are():
    found = await looked_up(engine(), {"topic": "owls", "context": PAGE}, {"topic": "moles", "context": PAGE})
    assert found.similarity > 0.85
    assert (found.hit, found.reason) == (False, "veto: prompts from one template: 'moles' != 'owls'")


@pytest.mark.parametrize(
    ("stored", "asked", "hit"),
    [
        ("how to wash a cat", "how do I wash my cat?", True),
        ("the price of food", "food prices", True),
        ("3 toys", "4 toys", False),
        ("buying a dog", "selling a dog", False),
        ("C++", "C+", False),
    ],
)
async def test_each_slot_is_compared_with_its_counterpart(stored, asked, hit):
    found = await looked_up(engine(), {"topic": stored, "context": PAGE}, {"topic": asked, "context": PAGE})
    assert found.hit is hit, found.reason


async def test_swapped_slots_are_other_questions():
    cache = engine(prompt_template="Translate from {source} to {target} please")
    await cache.store(Request("n", None, "Translate from German to Dutch please"), "x")
    assert not (await cache.lookup(Request("n", None, "Translate from Dutch to German please"))).hit


async def test_exact_slots_must_be_equal():
    cache = engine(exact_slots=("context",))
    found = await looked_up(cache, {"topic": "cat food", "context": "a"}, {"topic": "food for cats", "context": "a"})
    assert found.hit
    found = await looked_up(cache, {"topic": "cat food", "context": "a"}, {"topic": "cat food", "context": "b"})
    assert (found.hit, found.reason) == (False, "no entries in scope")


async def test_prompts_that_fit_and_prompts_that_do_not_never_share():
    cache = engine()
    await cache.store(Request("n", None, "Which food for old cats?"), "stored")
    assert (await cache.lookup(Request("n", None, "Which food is for old cats?"))).hit
    found = await cache.lookup(Request("n", None, FORM.format(topic="Which food for old cats?", context="")))
    assert not found.hit


async def test_the_decorator_the_client_and_the_engine_agree_on_what_is_equal():
    calls = []

    @cache(prompt_template=FORM, similarity=0.85, embedder="onnx", backend="memory://")
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        return prompt

    first = FORM.format(topic="cat food", context=PAGE)
    assert await ask(first) == await ask(first) == first
    assert await ask(FORM.format(topic="food for cats", context=PAGE)) == first
    assert await ask(FORM.format(topic="food for owls", context=PAGE)) != first
    assert len(calls) == 2
    assert await ask.cache_invalidate(first)

    client = CachedLLM("openai", backend="memory://", embedder="onnx", similarity=0.85, prompt_template=FORM)
    for topic in ("cat food", "food for cats"):
        assert await client.achat(FORM.format(topic=topic, context=PAGE), lambda prompt: first) == first
    assert client.engine.info().hits == 1


async def test_calls_in_flight_are_joined_by_their_slots():
    cache, calls = engine(), []

    async def call():
        calls.append(1)
        await asyncio.sleep(0.05)
        return "x"

    prompts = [FORM.format(topic=topic, context=PAGE) for topic in ("cat food", "food for cats", "food for owls")]
    await asyncio.gather(*(cache.get_or_call(Request("n", None, prompt), call) for prompt in prompts))
    assert len(calls) == 2


async def test_keys_are_the_same_as_before_without_the_option_and_for_prompts_that_do_not_fit():
    backend = shared_backend("memory://", "backend")
    asked = Request("n", None, "How old is Rome?")
    await SemanticCache(backend).store(asked, "old")
    assert (await SemanticCache(backend, prompt_template=FORM).lookup(asked)).hit


async def test_guards_of_the_users_own_see_all_slots_together():
    seen = []

    def refuses(prompt, candidate):
        seen.append((prompt, candidate))
        return "never"

    cache = engine(guards=["default", refuses], prompt_template="About {a} for {b}.")
    await cache.store(Request("n", None, "About cats for my mother."), "x")
    found = await cache.lookup(Request("n", None, "About the cats for my mother."))
    assert (found.hit, found.reason) == (False, "veto: never")
    assert set(seen) == {("the cats\n---\nmy mother", "cats\n---\nmy mother")}


def test_exact_slots_need_a_template():
    with pytest.raises(ValueError, match="exact_slots= names slots of prompt_template=, which is not given"):
        SemanticCache(exact_slots=("a",))
    with pytest.raises(ValueError, match="'b' is no slot"):
        SemanticCache(prompt_template="for {a}", exact_slots="b")
