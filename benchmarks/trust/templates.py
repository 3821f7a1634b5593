"""Pairs of long prompts that share a template, and what a cache should make of each pair.

    python -m benchmarks.trust.templates [--half first|held-out|all|later] [--similarity 0.85] [--known 3] [--json]

All pairs but the `LATER_` ones were written before the rule that compares what differs. Rows of `APART` ask different
things, those of `ALIKE` the same; even rows are the half that the rule was made on, odd rows were held out. `--known`
is how many other prompts of the same template the engine has answered before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from semantic_llm_cache import Request, SemanticCache

__all__ = ["ALIKE", "APART", "LATER_ALIKE", "LATER_APART", "TEMPLATES", "LongPair", "filled", "measure"]

TEMPLATES: dict[str, str] = {
    "rag": (
        "You are a helpful assistant of a veterinary clinic. Use only the context below to answer the question. If the "
        "context does not hold the answer, say that you do not know. Keep the answer short and friendly, and do not "
        "give a diagnosis. Context: Opening hours are nine to five on weekdays. Vaccinations need an appointment. "
        "Chipping is offered every first week of the month. Food and toys are sold at the front desk. "
        "Question: {question} Answer:"
    ),
    "first": (
        "{question} Answer for a customer of an online shop that sells garden furniture. Be polite, give no more than "
        "three sentences, and refer to the help pages where that is useful. Never promise a refund, never give legal "
        "advice, and never mention other shops. If the customer seems upset, apologise first. If you are not sure, "
        "offer to hand the conversation over to a colleague from the service team."
    ),
    "middle": (
        "You write short texts for the website of a travel agency. The tone is warm but not childish, the sentences "
        "are short, and there are no exclamation marks. Write one paragraph about {topic} for readers who plan their "
        "next holiday. Mention what to see, what to eat and when to go. Do not mention prices, because these change, "
        "and do not compare the place with others. End with a sentence that invites the reader to call us."
    ),
    "email": (
        "Write an e-mail to {person} about {topic}. The e-mail is sent by the head of the department on behalf of the "
        "whole team, so it should sound official without being cold. Start with a greeting, then give the reason for "
        "writing in one sentence, then the details in at most two paragraphs, and close with a thank you. Do not use "
        "bullet points or bold text. The e-mail should be ready to send, without any place to fill in."
    ),
    "review": (
        "Act as a senior engineer who reviews the work of a junior colleague. Look for mistakes, unclear names, "
        "missing tests and security problems, and explain each finding in one sentence with a suggestion. Praise what "
        "is good. The code is part of a {kind} and is written in {language}. The most important goal is {goal}. Do "
        "not rewrite the whole file, and do not comment on the formatting, because a tool takes care of that."
    ),
    "list": (
        "Plan the meals of a week for a family with two children. The meals must be quick to cook, use vegetables of "
        "the season and cost little. The family has the following things at home: {things}. For every day give a "
        "breakfast, a lunch and a dinner, with one line about how to prepare each. Write a shopping list at the end, "
        "sorted by the parts of the supermarket. Nobody in the family eats pork, and there are no allergies."
    ),
    "number": (
        "You calculate for a bank how a savings plan grows. Assume that the interest is paid once a year and is not "
        "taken out. Explain each step so that a customer without knowledge of mathematics can follow, and show the "
        "result as a small table with one line per year. The customer pays in {amount} each month for {years} and the "
        "interest rate is {rate}. Do not recommend any product and add the sentence that this is no advice."
    ),
    "name": (
        "You are a guide in a museum and answer questions of visitors. The visitors are adults without previous "
        "knowledge. Speak about the life of {name}, starting with the childhood, then the most important works or "
        "deeds, and then the meaning for today. Use at most two hundred words, do not use foreign words without "
        "explaining them, and do not repeat gossip. If dates are disputed among historians, say so."
    ),
}
"""Prompt templates with named slots, each of 60 words or more without its slots."""


class LongPair(NamedTuple):
    """Two prompts from one template: the slots' values, in the order of the template."""

    kind: str
    template: str
    a: tuple[str, ...]
    b: tuple[str, ...]

    @property
    def prompts(self) -> tuple[str, str]:
        """The two prompts as a model gets them."""
        return filled(self.template, self.a), filled(self.template, self.b)


def filled(template: str, values: Sequence[str]) -> str:
    """Return a template of `TEMPLATES` with its slots filled in order."""
    from string import Formatter

    form = TEMPLATES[template]
    names = [name for _, name, _, _ in Formatter().parse(form) if name]
    return form.format(**dict(zip(names, values, strict=True)))


def _pairs(text: str) -> tuple[LongPair, ...]:
    rows = []
    for line in re.sub(r"\n +", " ", text.strip()).splitlines():
        kind, template, a, b = (part.strip() for part in line.split(" | "))
        rows.append(LongPair(kind, template, _values(a), _values(b)))
    return tuple(rows)


def _values(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(" / "))


APART = _pairs("""
one word | rag | How often should I feed my cats? | How often should I feed my dogs?
one word | rag | Can I bring my rabbit for a vaccination on Friday? | Can I bring my hamster
  for a vaccination on Friday?
one word | rag | Do you sell toys for puppies? | Do you sell food for puppies?
one word | rag | How long does it take to chip a kitten? | How long does it take to wash a kitten?
question | rag | What are the opening hours? | Who is the owner of the clinic?
question | rag | How much does chipping cost? | When is chipping offered?
one word | first | How do I clean a wooden table? | How do I clean a metal table?
one word | first | Where can I track my parcel? | Where can I return my parcel?
one word | first | Is the parasol waterproof? | Is the parasol fireproof?
number | first | Can I pay in 3 instalments? | Can I pay in 6 instalments?
opposite | first | How do I activate the newsletter? | How do I deactivate the newsletter?
part added | first | Can I cancel my order? | Can I cancel my order after it was shipped?
place | middle | the coast of Portugal | the coast of Croatia
one word | middle | the beaches of the island of Crete | the villages of the island of Crete
season | middle | a weekend in Vienna in winter | a weekend in Vienna in summer
one word | middle | a cycling tour along the Danube | a boat tour along the Danube
rare place | middle | the old town of Ghent | the old town of Leuven
phrase | middle | hiking in the mountains of Norway | a wine tasting in the valleys of Austria
person | email | Mrs Keller / the new parking rules | Mr Brandt / the new parking rules
second slot | email | all employees / the summer party | all employees / the fire drill
both slots | email | our suppliers / late deliveries | the works council / holiday planning
one word | email | the interns / the start of the training | the interns / the end of the training
one word | email | the landlord / the broken heating | the landlord / the broken elevator
swapped | email | the parents / a meeting with the teachers | the teachers / a meeting with the parents
language | review | web shop / Python / security | web shop / Java / security
goal | review | mobile app / Kotlin / speed | mobile app / Kotlin / readability
kind | review | compiler / Rust / correctness | database / Rust / correctness
phrase | review | payment service / Go / that no money is lost | payment service / Go / that the code is easy to test
item | list | rice, eggs, carrots and butter | rice, eggs, onions and butter
item left out | list | potatoes, milk, cheese, apples | potatoes, milk, cheese
items | list | flour, sugar, yeast, raisins | chicken, lentils, tomatoes, cream
item | list | tofu, noodles, spinach, ginger, garlic | tofu, noodles, spinach, ginger, peanuts
number | number | 100 euros / ten years / 2 percent | 150 euros / ten years / 2 percent
number | number | 50 dollars / five years / 3 percent | 50 dollars / eight years / 3 percent
number | number | 200 euros / twelve years / 1.5 percent | 200 euros / twelve years / 2.5 percent
unit | number | 80 euros / 24 months / 2 percent | 80 dollars / 24 months / 2 percent
name | name | Frida Kahlo | Georgia O'Keeffe
name | name | Marie Curie | Lise Meitner
surname | name | Albert Dürer | Albert Schweitzer
name | name | the painter Vermeer | the painter Bruegel
""")
"""Pairs that ask different things."""

ALIKE = _pairs("""
wording | rag | How often should I feed my cat? | How frequently should I feed my cat?
polite | rag | Can I bring my rabbit for a vaccination on Friday? |
  Could I please bring my rabbit for a vaccination on Friday?
wording | rag | Do you sell toys for puppies? | Are toys for puppies sold at your clinic?
plural | rag | Do I need an appointment for a vaccination? | Do I need an appointment for vaccinations?
wording | rag | What are your opening hours? | When are you open?
wording | rag | When can I get my dog chipped? | When do you chip dogs?
wording | first | How do I clean a wooden table? | What is the best way to clean a wooden table?
synonym | first | Where can I track my parcel? | Where can I track my package?
wording | first | Is the parasol waterproof? | Is the parasol resistant to water?
polite | first | How can I change my delivery address? | Hello, how can I change my delivery address please?
wording | first | My chair arrived broken, what can I do? | What should I do if my chair arrived damaged?
spelling | first | Which colours does the bench come in? | Which colors does the bench come in?
order | middle | the coast of Portugal | Portugal's coast
wording | middle | the beaches of Crete | beaches on Crete
wording | middle | a weekend in Vienna in winter | a winter weekend in Vienna
wording | middle | a cycling tour along the Danube | a bike tour along the Danube
synonym | middle | the old town of Ghent | the historic centre of Ghent
wording | middle | hiking in the mountains of Norway | hikes in the Norwegian mountains
article | email | all employees / the new parking rules | all employees / new parking rules
synonym | email | all employees / the summer party | all staff / the summer party
wording | email | our suppliers / late deliveries | our suppliers / deliveries that arrive late
wording | email | the interns / the start of the training | the interns / the beginning of the training
wording | email | the landlord / the broken heating | the landlord / the heating that does not work
wording | email | the parents / the meeting with the teachers | the parents / the parent-teacher meeting
synonym | review | web shop / Python / security | online shop / Python / security
synonym | review | mobile app / Kotlin / speed | mobile app / Kotlin / performance
wording | review | compiler / Rust / correctness | compiler / Rust / that it is correct
wording | review | payment service / Go / that no money is lost | payment service / Go / that money is never lost
order | list | rice, eggs, carrots and butter | eggs, rice, butter and carrots
wording | list | potatoes, milk, cheese, apples | potatoes, milk, cheese and apples
plural | list | flour, sugar, yeast, raisins | flour, sugar, yeast, and some raisins
spelling | list | tofu, noodles, yoghurt, ginger | tofu, noodles, yogurt, ginger
number | number | 100 euros / ten years / 2 percent | 100 euros / 10 years / 2 %
number | number | 50 dollars / five years / 3 percent | $50 / five years / 3 percent
number | number | 200 euros / twelve years / 1.5 percent | 200 euros / 12 years / 1.5 percent
wording | number | 80 euros / two years / 2 percent | 80 euros / a period of two years / 2 percent
wording | name | Frida Kahlo | the painter Frida Kahlo
spelling | name | Leo Tolstoy | Leo Tolstoi
wording | name | Queen Victoria of England | the English queen Victoria
wording | name | Vermeer | the Dutch painter Vermeer
""")
"""Pairs that ask the same."""

LATER_APART = _pairs("""
later | middle | renewing an expired passport | replacing a lost passport
later | middle | heart attack symptoms in women | stroke symptoms in men
later | middle | how to lose weight fast | how to gain muscle fast
later | middle | booking a window seat | cancelling an aisle seat
later | middle | large red roses | small white lilies
later | middle | grilled chicken salad | fried fish sandwich
later | middle | the wedding of my sister | the funeral of my brother
later | middle | an offer for new customers | a reminder for late payers
later | middle | a complaint about slow service | praise for quick service
later | middle | train tickets to Milan | bus timetables to Turin
later | middle | a job advert for a nurse | a reference letter for a cook
later | middle | winter tyres for vans | summer tyres for trucks
later | middle | paint for wooden fences | varnish for metal gates
later | middle | the history of jazz music | the future of rock music
later | middle | opening a savings account | closing a current account
later | middle | deep sea fish | freshwater birds
later | middle | a baby boy | a teenage girl
later | middle | learning the violin | teaching the piano
later | middle | Monday morning meeting | Friday evening party
later | middle | cheap hotels near the airport | luxury hotels near the beach
later | middle | cleaning a leather sofa | repairing a fabric armchair
later | middle | the causes of the war | the consequences of the war
later | middle | the price of gold bars | the weight of silver coins
later | middle | my older colleague | your younger cousin
later | middle | visa rules for tourists | tax rules for students
later | middle | Samsung television | Sony monitor
later | middle | allergic reactions to nuts | intolerance of milk
""")
LATER_ALIKE = _pairs("""
later | middle | renewing an expired passport | getting a new passport when the old one has expired
later | middle | cheap hotels near the airport | low-cost hotels close to the airport
later | middle | cleaning a leather sofa | how to clean a couch made of leather
later | middle | the causes of the war | why the war started
later | middle | opening a savings account | how to set up a savings account
later | middle | losing weight quickly | how to slim down fast
later | middle | the price of gold bars | what gold bars cost
later | middle | a complaint about slow service | a complaint that the service was slow
later | middle | learning the violin | how to learn to play the violin
later | middle | large red roses | big roses that are red
later | middle | the wedding of my sister | my sister's marriage ceremony
later | middle | a job advert for a nurse | a job posting for nurses
later | middle | booking a window seat | reserving a seat by the window
later | middle | the history of jazz music | how jazz music developed
later | middle | paint for wooden fences | fence paint for wood
later | middle | winter tyres for vans | van winter tires
""")
"""Pairs of both kinds that were written after the rule, to look for holes; the like ones are reworded heavily."""

OTHERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "rag": (("Who looks after my tortoise while I travel?",), ("Is there a car park?",), ("May I pay by card?",)),
    "first": (("Do you deliver to Malta?",), ("Which hammock fits two people?",), ("I lost my invoice.",)),
    "middle": (("skiing in Canada",), ("the night markets of Taipei",), ("a safari with children in Kenya",)),
    "email": (("a candidate", "the job interview"), ("the printer", "wrong flyers"), ("the mayor", "bus stops")),
    "review": (("video game", "C#", "memory use"), ("robot", "C", "safety"), ("spreadsheet", "Lua", "short code")),
    "list": (("peas, fish fingers",), ("oats, pears, beetroot, leeks",), ("corn, quinoa and dates",)),
    "number": (
        ("30 pounds", "20 years", "4 percent"), ("75 francs", "six years", "1 percent"),
        ("500 yen", "30 months", "half a percent"),
    ),
    "name": (("Confucius",), ("Nikola Tesla",), ("Amelia Earhart",)),
}  # fmt: skip
"""For each template, further prompts that the engine may have seen before."""


def tables(half: str) -> dict[str, Sequence[LongPair]]:
    """Return the rows of both tables: of a half ("first", "held-out"), of both ("all"), or those written "later"."""
    if half == "later":
        return {"apart": LATER_APART, "alike": LATER_ALIKE}
    part = {"first": slice(0, None, 2), "held-out": slice(1, None, 2), "all": slice(None)}[half]
    return {"apart": APART[part], "alike": ALIKE[part]}


async def _served(provider: Any, pair: LongPair, before: Sequence[str], similarity: float) -> str:
    """Return how an engine that knows the prompts `before` and the pair's second one answers the first."""
    engine = SemanticCache("memory://", embedder=provider, similarity=similarity)
    ours, theirs = pair.prompts
    for prompt in (*before, theirs):
        await engine.get_or_call(Request("templates", None, prompt), lambda: prompt)  # noqa: B023
    lookup = await engine.lookup(Request("templates", None, ours))
    if lookup.hit and lookup.matched_prompt == theirs:
        return "served"
    return "apart" if lookup.hit or lookup.reason.startswith("veto") else "far"


def measure(half: str = "all", similarity: float = 0.85, known: int = 0) -> dict[str, dict[str, Any]]:
    """Return, for both tables, how many pairs there are, are near, and are served.

    Args:
        half: see `tables`.
        similarity: the threshold of the engine.
        known: how many other prompts of the same template the engine has answered before, at most 3.
    """
    from semantic_llm_cache.similarity import OnnxEmbeddingProvider

    provider = OnnxEmbeddingProvider()
    report: dict[str, dict[str, Any]] = {}
    for name, rows in tables(half).items():
        results = []
        for row in rows:
            before = [filled(row.template, values) for values in OTHERS[row.template][:known]]
            results.append(asyncio.run(_served(provider, row, before, similarity)))
        served = results.count("served")
        wrong = [
            {"kind": row.kind, "a": row.a, "b": row.b}
            for row, result in zip(rows, results, strict=True)
            if (result == "served") is (name == "apart")
        ]
        report[name] = {"pairs": len(rows), "near": len(rows) - results.count("far"), "served": served, "wrong": wrong}
    return report


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="templates", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--half", choices=("first", "held-out", "all", "later"), default="all")
    parser.add_argument("--similarity", type=float, default=0.85, help="threshold of the engine")
    parser.add_argument("--known", type=int, default=0, choices=range(4), help="other prompts answered before")
    parser.add_argument("--json", action="store_true", help="print JSON, with the pairs that went wrong")
    args = parser.parse_args(argv)
    report = measure(args.half, args.similarity, args.known)
    if args.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
        return 0
    for name, text in (("apart", "ask different things"), ("alike", "ask the same")):
        row = report[name]
        print(f"{row['pairs']} pairs that {text}: {row['near']} near at {args.similarity:g}, {row['served']} served")
    return 0


if __name__ == "__main__":
    sys.exit(main())
