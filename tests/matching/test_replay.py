"""Replays: against a plain rewrite of the rules, and against the engine itself with the real model."""

import numpy as np
import pytest
from engine_helpers import background_work_ended
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import Request, SemanticCache, last_lookup
from semantic_llm_cache.matching.guards import resolve_guards
from semantic_llm_cache.matching.neighbours import Neighbours
from semantic_llm_cache.matching.objections import PairCheck
from semantic_llm_cache.matching.online import OnlinePolicy
from semantic_llm_cache.matching.replay import Answers, Log, OnlineRule, ThresholdRule, replay
from semantic_llm_cache.similarity import OnnxEmbeddingProvider

NOTHING = resolve_guards(None)


def units(rng, rows, dimension=3):
    vectors = rng.normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def bare(threshold):
    return ThresholdRule(threshold, PairCheck(NOTHING, encode=None))


# ------------------------------------------------------------------------------ neighbours


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    block=st.sampled_from([1, 3, 64]),
    k=st.integers(1, 5),
    floor=st.sampled_from([-1.0, 0.0, 0.8]),
)
@settings(max_examples=40, deadline=None)
def test_neighbours_are_those_of_a_full_search_over_what_is_stored(seed, rows, block, k, floor):
    rng = np.random.default_rng(seed)
    vectors = units(rng, rows)
    near, stored = Neighbours(vectors, block=block), []
    for row in range(rows):
        if rng.random() < 0.3:
            continue  # not asked about, not stored
        found = near.nearest(row, k, floor)
        cosines = vectors[stored] @ vectors[row] if stored else np.empty(0)
        expected = sorted((float(c) for c in cosines if c >= floor - 1e-6), reverse=True)[:k]
        assert [c for _, c in found] == pytest.approx(expected, abs=1e-5)
        assert {i for i, _ in found} <= set(stored)
        assert all(float(vectors[i] @ vectors[row]) == pytest.approx(c, abs=1e-5) for i, c in found)
        if rng.random() < 0.6:
            near.add(row)
            stored.append(row)


# ------------------------------------------------------------------------------ answers


def test_answers_are_the_same_up_to_case_and_marks():
    answers = Answers(["Paris.", "paris", "Rome", "ROME!"])
    assert answers.same(0, 1)
    assert answers.same(3, 2)
    assert not answers.same(0, 2)
    assert answers.ids[0] != answers.ids[1]


def test_answers_are_compared_by_meaning_only_when_asked_for(provider):
    texts = [
        "Cutting an onion releases a gas that irritates the eyes; tears wash it away.",
        "Chopped onions give off an irritating gas, and your eyes make tears to flush it out.",
        "Potatoes should be kept in a cool and dark place, away from onions and apples.",
        "short",
    ]
    questions = ["Why do onions make you cry?"] * 4
    assert not Answers(texts).same(0, 1)
    embedded = []

    def encode(several):
        embedded.extend(several)
        return provider.encode_batch(several)

    answers = Answers(texts, encode, questions)
    assert answers.same(0, 1)
    assert not answers.same(0, 2)
    assert not answers.same(0, 3)
    assert len(embedded) == len(set(embedded))  # each text once


# ------------------------------------------------------------------------------ the stream


def naive(prompts, answers, vectors, threshold):
    """The rules, written with lists: (exact, near, wrong near) by row number."""
    stored, outcome = [], []
    for row, prompt in enumerate(prompts):
        if any(prompts[i] == prompt for i in stored):
            outcome.append("exact")
            continue
        near = sorted(((float(vectors[i] @ vectors[row]), -i) for i in stored), reverse=True)
        if near and near[0][0] >= threshold - 1e-6:
            outcome.append("near" if answers[-near[0][1]] == answers[row] else "wrong")
        else:
            outcome.append("miss")
            stored.append(row)
    return outcome


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 60), threshold=st.sampled_from([0.7, 0.9, 0.97]))
@settings(max_examples=40, deadline=None)
def test_a_replay_counts_what_a_plain_rewrite_of_the_rules_counts(seed, rows, threshold):
    rng = np.random.default_rng(seed)
    texts = [f"prompt {i}" for i in range(20)]
    picked = rng.integers(0, 20, rows)
    vectors = units(rng, 20)[picked]
    prompts = [texts[i] for i in picked]
    answers = [str(i % 3) for i in picked]
    expected = naive(prompts, answers, vectors, threshold)
    result = replay(Log(prompts, Answers(answers), vectors), bare(threshold))
    for number, quarter in enumerate(result.quarters):
        part = [o for i, o in enumerate(expected) if i * 4 // rows == number]
        assert quarter.requests == len(part)
        assert quarter.exact == part.count("exact")
        assert quarter.near == part.count("near") + part.count("wrong")
        assert quarter.near_wrong == part.count("wrong")
    assert len(result.wrong) == expected.count("wrong")
    worst = result.worst(3)
    assert [hit.similarity for hit in worst] == sorted((h.similarity for h in result.wrong), reverse=True)[:3]


def test_an_exact_repeat_with_another_answer_counts_as_wrong():
    total = replay(Log(["a", "a", "a"], Answers(["1", "2", "1"]), np.eye(3, dtype=np.float32)), bare(0.9)).total
    assert (total.exact, total.exact_wrong, total.near, total.wrong, total.hits) == (2, 1, 0, 1, 2)


def test_a_prompt_the_embedder_does_not_read_whole_is_matched_exactly_only():
    vectors = np.eye(2, dtype=np.float32)[[0, 0, 0]]
    log = Log(["long", "long too", "long"], Answers(["1", "1", "1"]), vectors, [False, True, False])
    total = replay(log, bare(0.9)).total
    assert (total.exact, total.near) == (1, 0)


def test_when_the_nearest_is_vetoed_the_next_is_served():
    vectors = np.array([[1, 0], [0.99, 0.141], [1, 0.01]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prompts = ["5 miles in km", "what is 6 miles in km", "6 miles in km"]
    check = PairCheck(resolve_guards("default"), encode=None)
    result = replay(Log(prompts, Answers(["8", "9.7", "9.7"]), vectors), ThresholdRule(0.9, check))
    assert (result.total.near, result.total.wrong) == (1, 0)
    assert replay(Log(prompts, Answers(["8", "9.7", "9.7"]), vectors), bare(0.9)).total.wrong > 0


def test_a_verified_alias_answers_with_the_answer_it_was_given():
    """Online, a miss whose fresh answer agrees stores the old one: the two are one answer from then on."""

    class Scripted:
        floor = 0.5
        reach = 0.5

        def __init__(self):
            self.seen = []

        def count_exact(self):
            raise AssertionError("there are no repeats")

        def decide(self, prompt, views):
            self.seen.append([view.answer for view in views])
            action = "serve" if prompt == "c" else "miss"
            key = views[0].key if views else None
            return type("D", (), {"action": action, "key": key})()

        def observe(self, decision, correct):
            assert correct

    policy = Scripted()
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.2]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    log = Log(["a", "b", "c"], Answers(["Yes.", "yes", "no"]), vectors)
    result = replay(log, OnlineRule(policy, NOTHING))
    assert policy.seen[2] == ["0", "0"]
    (hit,) = result.wrong
    assert (hit.row, hit.stored, hit.answered) == (2, 1, 0)


def test_steps_are_told_one_for_each_row():
    told = []
    log = Log(["a", "b", "a"], Answers(["1", "2", "1"]), np.eye(3, dtype=np.float32))
    replay(log, bare(0.9), step=lambda: told.append(1))
    assert len(told) == 3


# ------------------------------------------------------------------------------ the residual check


class TestResidual:
    PASSAGE = " ".join(f"word{i}" for i in range(60))

    def check(self, cosine):
        calls = []

        def encode(texts):
            calls.extend(texts)
            return np.array([[1.0, 0.0] if "one" in t else [cosine, np.sqrt(1 - cosine**2)] for t in texts])

        return PairCheck(resolve_guards(["emoji"]), encode), calls

    def test_what_is_left_of_long_prompts_must_be_alike(self):
        ours, theirs = f"{self.PASSAGE} one green bottle", f"{self.PASSAGE} brown glass flasks"
        check, calls = self.check(0.5)
        veto = check.remainder(ours, theirs)
        assert veto.rule == "residual"
        assert "0.50 < 0.6" in veto.reason
        assert set(calls) == {"one green bottle", "brown glass flasks", "green bottle"}
        assert check.first(ours, theirs) == veto.reason
        assert len(calls) == 3  # kept, not embedded again
        assert self.check(0.7)[0].remainder(ours, theirs) is None

    def test_one_word_is_not_compared_by_cosine(self):
        check, calls = self.check(1.0)
        assert "'cello' != 'violin'" in check.first(f"{self.PASSAGE} cello", f"{self.PASSAGE} violin")
        assert check.first(f"{self.PASSAGE} colours", f"{self.PASSAGE} color") is None
        assert check.first(f"{self.PASSAGE} lorry", f"{self.PASSAGE} truck") is None
        assert calls == []

    def test_a_part_that_only_one_has_is_a_difference(self):
        check, calls = self.check(1.0)
        assert "only one has 'cello'" in check.first(f"{self.PASSAGE} cello", self.PASSAGE)
        assert check.first(f"{self.PASSAGE} please", self.PASSAGE) is None
        assert calls == []

    def test_without_guards_nothing_is_checked(self):
        assert PairCheck(NOTHING, encode=None).first(f"{self.PASSAGE} 1", f"{self.PASSAGE} 2") is None

    def test_all_objections_are_told_not_the_first_alone(self):
        check = PairCheck(resolve_guards("default"), encode=None)
        found = check.all("is 5 miles safe", "is 6 miles not safe")
        assert {"numbers", "negation"} <= {veto.rule for veto in found}
        assert all(veto.reason for veto in found)
        assert check.first("is 5 miles safe", "is 6 miles not safe") in [veto.reason for veto in found]


# ------------------------------------------------------------------------------ the engine itself

TOPICS = {
    "password": [
        "How do I reset my password?", "How can I reset my password?", "how to reset a password",
        "I forgot my password, how do I reset it?", "reset my password please", "password reset, how?",
    ],
    "hours": [
        "What are your opening hours?", "When are you open?", "what are the opening hours",
        "What time do you open?", "opening hours please", "When do you open and close?",
    ],
    "refund": [
        "How do I get a refund?", "How can I get a refund?", "I want a refund", "how to request a refund",
        "Can I get my money back?", "refund for my order",
    ],
    "five": ["What is 5 miles in km?", "Convert 5 miles to km", "5 miles in kilometres"],
    "six": ["What is 6 miles in km?", "Convert 6 miles to km", "6 miles in kilometres"],
}  # fmt: skip


@pytest.fixture(scope="module")
def provider():
    return OnnxEmbeddingProvider(threads=1)


@pytest.fixture(scope="module")
def log(provider):
    rows = [(text, topic) for topic, texts in TOPICS.items() for text in texts]
    order = np.random.default_rng(3).integers(0, len(rows), 90)  # with repeats
    prompts = [rows[i][0] for i in order]
    return Log(prompts, Answers([rows[i][1] for i in order]), provider.encode_batch(prompts))


WORDINGS = ["How do I {}?", "How can I {}?", "how to {}", "please tell me how to {}", "What is the way to {}?"]
ACTIONS = [
    "reset my password", "get a refund", "bake bread", "learn to swim", "fix a flat tyre", "open an account",
    "cancel my order", "train a puppy", "renew my passport", "write a poem", "plant tomatoes", "tune a guitar",
    "book a flight", "clean a carpet", "draw a horse", "repair a roof", "sell my car", "brew coffee",
]  # fmt: skip


@pytest.fixture(scope="module")
def long_log(provider):
    rows = [(wording.format(action), action) for action in ACTIONS for wording in WORDINGS]
    order = np.concatenate([np.random.default_rng(4).permutation(len(rows)), [0, 1, 2]])
    prompts = [rows[i][0] for i in order]
    return Log(prompts, Answers([rows[i][1] for i in order]), provider.encode_batch(prompts))


def equal(fresh, stored):
    return fresh == stored


async def through_the_engine(engine, log):
    """Return for each row the outcome and the similarity, and whether the answer was the row's own."""
    outcomes = []
    async with engine:
        for row, prompt in enumerate(log.prompts):
            answer = await engine.get_or_call(Request("log", None, prompt), lambda row=row: log.answers.texts[row])
            await background_work_ended()
            outcomes.append((last_lookup().outcome, answer == log.answers.texts[row]))
    return outcomes


def counts(outcomes):
    def number(outcome, right):
        return sum(item == (outcome, right) for item in outcomes)

    return {
        "exact": number("exact", True) + number("exact", False),
        "exact_wrong": number("exact", False),
        "near": number("near", True) + number("near", False),
        "near_wrong": number("near", False),
    }


@pytest.mark.parametrize("guards", ["default", None])
async def test_a_threshold_replay_does_what_the_engine_does(provider, log, guards):
    engine = SemanticCache("memory://", embedder=provider, similarity=0.7, guards=guards)
    expected = counts(await through_the_engine(engine, log))
    rule = ThresholdRule(0.7, PairCheck(resolve_guards(guards), provider.encode_batch))
    total = replay(log, rule).total
    assert {name: getattr(total, name) for name in expected} == expected
    assert expected["near"] > 5
    assert (expected["near_wrong"] > 0) == (guards is None)


@pytest.mark.parametrize("guards", ["given", "not given"])
async def test_an_online_replay_does_what_the_engine_does(provider, long_log, guards):
    options = {"guards": "default"} if guards == "given" else {}
    engine = SemanticCache(
        "memory://", embedder=provider, similarity=0.6, max_error=0.5, seed=5, same_answer=equal, **options
    )
    expected = counts(await through_the_engine(engine, long_log))
    names = resolve_guards("default")
    policy = OnlinePolicy(max_error=0.5, floor=0.6, seed=5, extra_features=len(names))
    total = replay(long_log, OnlineRule(policy, names, veto=guards == "given")).total
    assert {name: getattr(total, name) for name in expected} == expected
    assert expected["near"] > 0
    summary = policy.summary()
    assert (summary["requests"], summary["exact"], summary["hits"]) == (93, total.exact, total.near)
