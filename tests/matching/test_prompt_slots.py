"""Long prompts from one template: what differs in them, what is learned, and when it is the same."""

import random
from itertools import pairwise

import numpy as np
import pytest
from benchmarks.trust import templates as table

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.matching.guards import resolve_guards
from semantic_llm_cache.matching.objections import PairCheck
from semantic_llm_cache.matching.templates.alignment import WordList, matches
from semantic_llm_cache.matching.templates.sharing import is_long, shared_slots
from semantic_llm_cache.matching.templates.skeletons import Skeletons

PAGE = " ".join(f"word{i}" for i in range(60))
GUARDS = resolve_guards("default")


def objection(ours: str, theirs: str, cosine: float = 1.0) -> str | None:
    """Return the objection to two slot texts in one page, if the embedder finds them alike by `cosine`."""
    turn = iter(np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]] * 8))
    check = PairCheck(GUARDS, lambda texts: [next(turn) for _ in texts])
    veto = check.remainder(f"{PAGE} {ours} {PAGE}", f"{PAGE} {theirs} {PAGE}")
    return None if veto is None else veto.reason


# ------------------------------------------------------------------------------ alignment


@pytest.mark.parametrize("length", [0, 12, 400])
def test_matches_are_equal_words_in_increasing_order(length):
    rng = random.Random(length)
    ours = [rng.choice("abcdefgh") + str(rng.randrange(max(1, length // 4))) for _ in range(length)]
    theirs = [word for word in ours if rng.random() < 0.8] + ["end"]
    found = matches(ours, theirs)
    assert all(ours[i] == theirs[j] for i, j in found)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(found))
    assert len(found) >= 0.7 * (len(theirs) - 1)


def test_each_difference_is_a_slot_of_its_own_unless_they_are_close():
    ours = f"red {PAGE} a big red house {PAGE} end"
    theirs = f"blue {PAGE} a small red hut {PAGE}"
    assert [slot[:2] for slot in shared_slots(ours, theirs) or ()] == [
        ("red", "blue"),
        ("big red house", "small red hut"),
        ("end", ""),
    ]


def test_short_and_unrelated_prompts_have_no_slots():
    assert shared_slots("How old is Rome?", "How old is Paris?") is None
    assert shared_slots(PAGE, PAGE) is None
    assert shared_slots(PAGE, " ".join(f"other{i}" for i in range(60))) is None
    assert not is_long("word " * 39)


# ------------------------------------------------------------------------------ learned templates


def test_a_template_is_known_after_four_different_prompts():
    skeletons = Skeletons()
    prompts = [WordList(f"{PAGE} {name} please").forms for name in ("cats", "dogs", "mice", "owls")]
    for _ in range(3):
        skeletons.learn("scope", prompts[0], prompts[1])
    assert not skeletons.known("scope", prompts[0])
    skeletons.learn("scope", prompts[2], prompts[3])
    new = WordList(f"{PAGE} parrots please").forms
    assert skeletons.known("scope", new) == frozenset({*range(60), 61})
    assert not skeletons.known("other scope", new)
    assert not skeletons.known("scope", WordList("quite another text " * 20).forms)


def test_with_a_known_template_a_slot_is_whole_and_rescues_prompts_with_large_slots():
    skeletons = Skeletons()
    forms = [WordList(f"{PAGE} {name} please").forms for name in ("cats", "dogs", "mice", "owls")]
    skeletons.learn("s", forms[0], forms[1])
    skeletons.learn("s", forms[2], forms[3])
    ours, theirs = (f"{PAGE} {end} please" for end in ("the age of old oak trees", "how old do the oak trees get"))
    assert [s[:2] for s in shared_slots(ours, theirs, skeletons, "s") or ()] == [
        ("the age of old oak trees", "how old do the oak trees get")
    ]
    many, others = (" ".join(f"{name}{i}" for i in range(90)) for name in ("this", "that"))
    assert shared_slots(f"{PAGE} {many} please", f"{PAGE} {others} please") is None
    found = shared_slots(f"{PAGE} {many} please", f"{PAGE} {others} please", skeletons, "s")
    assert [s[:2] for s in found or ()] == [(many, others)]


def test_what_is_learned_is_bounded():
    skeletons = Skeletons()
    for scope in range(300):
        for page in range(6):
            words = [f"{page}-{i}" for i in range(45)]
            skeletons.learn(str(scope), [*words, "a"], [*words, "b"])
    assert len(skeletons._scopes) == 256
    assert max(map(len, skeletons._scopes.values())) == 4


# ------------------------------------------------------------------------------ what is the same


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cats", "dogs"), ("waterproof", "fireproof"), ("Ghent", "Leuven"), ("my team", "a friend"),
        ("rice, eggs, carrots", "rice, eggs, onions"), ("the red and the old car", "the blue and the new car"),
        ("an apple", "an apple and a pear"), ("the parents of the teachers", "the teachers of the parents"),
        ("version 3.1", "version 3.2"), ("buy apples", "steal apples"),
    ],
)  # fmt: skip
def test_a_word_that_differs_is_a_difference_however_alike_the_prompts_are(ours, theirs):
    assert objection(ours, theirs)
    assert objection(theirs, ours)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("the cat", "cats"), ("colours", "colors"), ("a lorry", "the truck"), ("realise", "realize"),
        ("ten years", "10 years"), ("eggs, rice and milk", "milk, eggs, rice"), ("Tolstoy", "Tolstoi"),
        ("please, the house", "the house"),
        ("winter tyres for vans", "van winter tires"), ("What are your opening hours", "When are you open"),
    ],
)  # fmt: skip
def test_forms_spellings_synonyms_and_order_are_none(ours, theirs):
    assert objection(ours, theirs, cosine=0.0) is None
    assert objection(theirs, ours, cosine=0.0) is None


def test_numbers_count_as_words_where_no_guard_compares_them():
    check = PairCheck(resolve_guards(["emoji"]), lambda texts: [])
    assert check.first(f"{PAGE} 3 toys", f"{PAGE} 4 toys") == "prompts from one template: '3' != '4'"
    assert "'two' != 'three'" in (check.first(f"{PAGE} two toys", f"{PAGE} three toys") or "")


def test_several_words_are_compared_by_meaning():
    ours, theirs = "hiking in high mountains", "walks across tall peaks"
    assert objection(ours, theirs, cosine=0.7) is None
    assert "alike by 0.50 < 0.6" in (objection(ours, theirs, cosine=0.5) or "")


# ------------------------------------------------------------------------------ the table, and the engine


def test_the_table_has_the_shape_that_is_claimed():
    assert len(table.APART) == len(table.ALIKE) == 40
    assert all(is_long(prompt) for row in (*table.APART, *table.ALIKE) for prompt in row.prompts)
    assert {row.template for row in table.APART} == {row.template for row in table.ALIKE} == set(table.TEMPLATES)


async def test_the_engine_compares_what_differs():
    engine = SemanticCache("memory://", embedder="onnx", similarity=0.85)
    form = table.TEMPLATES["first"]
    await engine.store(Request("n", None, form.format(question="Is the parasol waterproof?")), "Yes.")
    other = await engine.lookup(Request("n", None, form.format(question="Is the parasol fireproof?")))
    assert (other.hit, other.reason) == (
        False,
        "veto: prompts from one template: 'fireproof' != 'waterproof'",
    )
    same = await engine.lookup(Request("n", None, form.format(question="Is this parasol resistant to water?")))
    assert same.hit
