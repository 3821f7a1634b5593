"""Verifiers, shadow mode and feedback, through the engine, with the real model."""

import asyncio
import threading

import pytest
from engine_helpers import background_work_ended

from semantic_llm_cache import (
    CacheNotFoundError,
    SemanticCache,
    get_stats,
    last_lookup,
    report_right,
    report_wrong,
)
from semantic_llm_cache.matching.verify import LLMJudge

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"  # about .985


class Model:
    """Counts its calls; answers with what it was asked."""

    def __init__(self, answers: dict[str, str] | None = None) -> None:
        self.calls: list[str] = []
        self.answers = answers or {}

    def function(self, engine: SemanticCache):
        @engine.cache
        async def ask(prompt: str) -> str:
            self.calls.append(prompt)
            return self.answers.get(prompt, f"answer {len(self.calls)}")

        return ask


async def settle() -> None:
    """Let background verification finish."""
    for _ in range(200):
        await asyncio.sleep(0.005)
        if not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]:
            return


class TestGuards:
    async def test_default_guards_refuse_a_near_number(self):
        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.8))
        await ask("How many kilometres are 5 miles?")
        await ask("How many kilometres are 6 miles?")
        lookup = last_lookup()
        assert (lookup.outcome, len(model.calls)) == ("miss", 2)
        assert lookup.reason.startswith("veto: number 6 miles != 5 miles")
        assert lookup.similarity > 0.8
        assert lookup.matched_prompt == "How many kilometres are 5 miles?"

    async def test_guards_none_lets_it_through(self):
        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.8, guards=None))
        await ask("How many kilometres are 5 miles?")
        await ask("How many kilometres are 6 miles?")
        assert last_lookup().outcome == "near"

    async def test_when_the_nearest_is_vetoed_the_next_gets_its_chance(self):
        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.8))
        await ask("How many km are 5 miles?")
        await ask("How many kilometers are there in 6 miles?")
        await ask("How many km are 6 miles?")
        lookup = last_lookup()
        assert lookup.outcome == "near"
        assert lookup.matched_prompt == "How many kilometers are there in 6 miles?"

    async def test_own_guard_and_unknown_name(self):
        def never(prompt: str, candidate: str) -> str | None:
            return "because"

        ask = Model().function(SemanticCache("memory://", similarity=0.9, guards=[never]))
        await ask(QUESTION)
        await ask(PARAPHRASE)
        assert last_lookup().reason == "veto: because"
        with pytest.raises(ValueError, match="unknown rule 'nonsense'"):
            SemanticCache("memory://", guards={"nonsense"})

    async def test_long_prompts_with_one_passage_and_another_instruction(self):
        numbers = ["one", "two", "three", "four", "five", "six"]
        passage = " ".join(
            f"In paragraph {word} the committee describes how the harbour was rebuilt after a storm."
            for word in numbers
        )
        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.9))
        await ask(f"{passage} Summarise the text above for a child.")
        await ask(f"{passage} List every date that the text above gives.")
        assert (last_lookup().outcome, len(model.calls)) == ("miss", 2)


class TestVerify:
    async def test_verifier_is_asked_about_near_candidates_only(self):
        asked = []

        def verify(prompt, candidate, response):
            asked.append((prompt, candidate, response))
            return False

        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.95, verify=verify))
        await ask(QUESTION)
        await ask("What is Rust?")
        await ask(PARAPHRASE)
        assert asked == [(PARAPHRASE, QUESTION, "answer 1")]
        assert (last_lookup().outcome, len(model.calls)) == ("miss", 3)
        assert "refused by verify" in last_lookup().reason

    async def test_async_verifier_score_and_verdict_is_kept(self):
        asked = 0

        async def verify(prompt, candidate, response):
            nonlocal asked
            asked += 1
            return 0.7

        ask = Model().function(SemanticCache("memory://", similarity=0.95, verify=verify))
        await ask(QUESTION)
        assert await ask(PARAPHRASE) == "answer 1"
        assert await ask(PARAPHRASE) == "answer 1"
        assert (asked, last_lookup().outcome) == (1, "near")

    async def test_band_accepts_above_and_refuses_below(self):
        asked = []

        def verify(prompt, candidate, response):
            asked.append(prompt)
            return True

        engine = SemanticCache("memory://", similarity=0.9, verify=verify, verify_band=(0.5, 0.97))
        ask = Model().function(engine)
        await ask(QUESTION)
        await ask(PARAPHRASE)
        assert (asked, last_lookup().outcome) == ([], "near")
        await ask("I need to change the password of my account")
        assert last_lookup().outcome == "near"
        assert len(asked) == 1
        await ask("What is Rust?")
        assert (len(asked), last_lookup().outcome) == (1, "miss")

    async def test_verifier_that_raises_counts_as_no(self, caplog):
        def verify(prompt, candidate, response):
            raise RuntimeError("judge is ill")

        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.95, verify=verify))
        await ask(QUESTION)
        await ask(PARAPHRASE)
        assert len(model.calls) == 2
        assert last_lookup().reason.startswith("no verdict from verify, similarity 0.9")
        assert "verify failed (RuntimeError at matching/test_trust.py:" in caplog.text
        assert "judge is ill" not in caplog.text  # it may quote the prompt

    async def test_background_verdict_makes_aliases_and_nobody_waits(self):
        release = asyncio.Event()

        async def verify(prompt, candidate, response):
            await release.wait()
            return True

        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.95, verify=verify, verify_mode="background"))
        await ask(QUESTION)
        assert await ask(PARAPHRASE) == "answer 2"
        assert "background" in last_lookup().reason
        release.set()
        await settle()
        assert await ask(PARAPHRASE) == "answer 1"
        assert len(model.calls) == 2

    def test_plain_function_with_background_verdict(self):
        done = threading.Event()

        def verify(prompt, candidate, response):
            done.set()
            return True

        calls = []

        @SemanticCache("memory://", similarity=0.95, verify=verify, verify_mode="background").cache
        def ask(prompt: str) -> str:
            calls.append(prompt)
            return f"answer {len(calls)}"

        ask(QUESTION)
        assert ask(PARAPHRASE) == "answer 2"
        assert done.wait(5)

    def test_judge_built_from_a_chat_callable(self):
        seen = []

        def chat(question: str) -> str:
            seen.append(question)
            return "No, the numbers differ."

        assert LLMJudge(chat)("6 {candidate} miles", "5 miles", "8 km") is False
        assert "6 {candidate} miles" in seen[0]
        assert "5 miles" in seen[0]

    async def test_async_judge(self):
        async def chat(question: str) -> str:
            return "**Yes**"

        assert await LLMJudge(chat)("a", "b") is True

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"verify": 3}, "verify=3"),
            ({"verify_band": (0.8, 0.9)}, "verify_band"),
            ({"verify": bool, "verify_band": (0.9, 0.8)}, "verify_band"),
            ({"verify": bool, "verify_mode": "later"}, "verify_mode"),
            ({"max_error": 0}, "max_error"),
            ({"max_error": 2}, "max_error"),
            ({"max_error": "1%"}, "max_error"),
            ({"mode": "dark"}, "mode"),
        ],
    )
    def test_bad_options_name_the_argument(self, options, text):
        with pytest.raises((ValueError, TypeError), match=text):
            SemanticCache("memory://", **options)


class TestShadow:
    async def test_always_calls_and_records(self):
        model = Model({QUESTION: "Click on forgot.", PARAPHRASE: "click on forgot", "What is Rust?": "A language."})
        engine = SemanticCache("memory://", similarity=0.95, mode="shadow", namespace="shadow-1")
        ask = model.function(engine)
        for prompt in (QUESTION, PARAPHRASE, QUESTION, "What is Rust?"):
            await ask(prompt)
        assert model.calls == [QUESTION, PARAPHRASE, QUESTION, "What is Rust?"]
        await background_work_ended()
        stats = get_stats("shadow-1")
        assert (stats["shadow_requests"], stats["shadow_hits"], stats["shadow_wrong"]) == (4, 2, 0)
        assert stats["estimated_wrong_hit_rate"] == 0.0
        low, high = stats["estimated_wrong_hit_interval"]
        assert low == 0.0
        assert 0.5 < high < 1.0

    async def test_tells_a_wrong_hit(self):
        model = Model({QUESTION: "yes", PARAPHRASE: "no"})
        ask = model.function(SemanticCache("memory://", similarity=0.95, mode="shadow"))
        await ask(QUESTION)
        assert await ask(PARAPHRASE) == "no"
        await background_work_ended()
        lookup = last_lookup()
        assert (lookup.outcome, lookup.would, lookup.would_be_right) == ("miss", "near", False)

    def test_plain_function(self):
        calls = []

        @SemanticCache("memory://", mode="shadow").cache
        def ask(prompt: str) -> str:
            calls.append(prompt)
            return "same"

        ask("a")
        ask("a")
        assert calls == ["a", "a"]
        assert (last_lookup().would, last_lookup().would_be_right) == ("exact", True)

    async def test_long_answers_are_compared_by_meaning(self):
        one = "Open the settings page, choose security, and press the button that says reset my password there."
        two = "Go to the settings page, select security and press the button labelled reset my password there."
        model = Model({QUESTION: one, PARAPHRASE: two})
        ask = model.function(SemanticCache("memory://", similarity=0.95, mode="shadow"))
        await ask(QUESTION)
        await ask(PARAPHRASE)
        await background_work_ended()
        assert last_lookup().would_be_right is True


class TestFeedback:
    async def test_report_wrong_evicts_and_the_pair_is_not_matched_again(self):
        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.95, namespace="feedback-1"))
        await ask(QUESTION)
        await ask(PARAPHRASE)
        wrong = last_lookup()
        assert await report_wrong(wrong) is True
        assert get_stats("feedback-1")["reported_wrong"] == 1
        await ask(QUESTION)
        assert await ask(PARAPHRASE) == "answer 3"
        assert len(model.calls) == 3

    async def test_report_right_stores_an_alias(self):
        model = Model()
        ask = model.function(SemanticCache("memory://", similarity=0.95))
        await ask(QUESTION)
        await ask(PARAPHRASE)
        assert await report_right(last_lookup()) is True
        assert await ask(PARAPHRASE) == "answer 1"
        assert last_lookup().outcome == "exact"

    async def test_report_on_exact_hit_in_memory(self):
        model = Model()
        ask = model.function(SemanticCache("memory://"))
        await ask("a")
        await ask("a")
        assert await report_wrong(last_lookup()) is True
        await ask("a")
        assert len(model.calls) == 2

    async def test_a_miss_that_was_not_stored_cannot_be_reported(self):
        ask = Model().function(SemanticCache("memory://", cache_if=lambda answer: False))
        await ask("a")
        with pytest.raises(CacheNotFoundError, match="miss"):
            await report_wrong(last_lookup())
