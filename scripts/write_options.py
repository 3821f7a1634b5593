"""Write docs/options.md from the table of options: `python scripts/write_options.py [--check]`.

With --check nothing is written; the status is 1 when the page is not what the table says.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [place for place in (str(PROJECT), str(PROJECT / "src")) if place not in sys.path]

from scripts.generated import write_or_check  # noqa: E402

from semantic_llm_cache.calls.refusals import REASONS  # noqa: E402
from semantic_llm_cache.engine.options import DOCUMENTED  # noqa: E402

PAGE = PROJECT / "docs" / "options.md"
INTRODUCTION = """\
# Options

Every option, its default, what it does, and when to change it. `SemanticCache` takes the first table; `@cache` and
`engine.cache` take both (a type checker refuses `clock`, `max_prompt` and `max_response` in `@cache`: give them to a
`SemanticCache`). The docstrings of `SemanticCache` and `cache` say more. An unknown option raises a `TypeError` that
names the nearest one.

Written by `python scripts/write_options.py`; do not edit.
"""
REFUSALS = """\
## Why an answer was not stored

`Lookup.stored_reason` begins with one of these words; after a colon follows what there is to say, which holds no prompt
and no answer. It is empty when the answer was stored, and for a hit. The words are stable. A response of a wrapped
client says the same in the header `x-cache-store: no; reason=tool-calls; detail="..."`. The log says it once for each
word and cache: as information where the caller or an option asked for it, as a warning where not, and not at all where
the caller learns of it in another way.

| Word | What it means | Log |
|---|---|---|
"""


WHEN = {
    "Options of the cache": {
        "backend": "answers should outlive the process, or several processes share them",
        "embedder": "prompts are in other languages, or longer than 256 word pieces",
        "similarity": "other wordings should be hits: begin with 0.9 and calibrate",
        "ttl": "answers get old sooner or later than in an hour",
        "namespace": "several functions should share answers, or a group should be cleared alone",
        "enabled": "tests or an incident need the cache off",
        "guards": "a rule refuses what is right in your traffic, or you have a rule of your own",
        "verify": "a wrong answer costs more than asking a model about each doubtful pair",
        "verify_band": "only pairs of middling similarity are worth asking about",
        "verify_mode": "callers must not wait for the model",
        "max_error": "you know which share of wrong answers you accept, and expect thousands of requests",
        "max_error_per_hit": "each hit must be trusted, also when hits are few",
        "same_answer": "the default judge errs on your kind of answers",
        "judge_error": "you have measured your judge",
        "noise": "the model answers one prompt differently each time, and the budget gives no hits",
        "seed": "a test must be repeatable",
        "mode": "you begin, or change a threshold: look before you serve",
        "stale_while_revalidate": "nobody should wait when an answer expires",
        "stale_if_error": "an old answer is better than an error",
        "jitter": "many answers are stored at once, and would expire at once",
        "single_flight": "several processes get the same prompt at the same time",
        "on_event": "you count or log calls yourself",
        "on_error": "a test should fail when the cache does",
        "timeout": "the storage is far away, or callers can wait for less",
        "clock": "a test must not wait for a TTL",
        "tags": "entries should be removed by topic or release",
        "depends_on": "answers are made from documents",
        "version_of": "documents change, and a call does not know all of their versions",
        "evidence_overlap": "retrieval varies, and an answer from other documents is not good enough",
        "category": "you know better than the rules what kind a prompt is",
        "categories": "kinds of prompts need another threshold or TTL",
        "prompt_template": "prompts are long and made from one template",
        "exact_slots": "a slot such as a language or a page must be equal",
        "cache_if": "some answers are not worth keeping, such as those that do not parse",
        "price": "the savings should be right for your model",
        "encryption_key": "people can read the storage who must not read the prompts",
        "redact": "prompts hold personal data that must not be stored",
        "max_prompt": "storage is small, or prompts are very long",
        "max_response": "storage is small, or answers are very long",
    },
    "Options of a decorated function": {
        "prompt": "the prompt is not found, or another parameter is taken for it",
        "ignore": "an argument cannot change the answer: a client, a request id",
        "scope": "something that is not an argument changes the answer: a tenant, a locale",
        "version": "the prompt inside the function changes",
        "normalizer": "prompts differ in case or space that mean nothing",
        "key_func": "you want to say yourself which calls are equal",
        "result_type": "the function has no return annotation",
        "replay_delay": "readers expect a stream to take time",
        "depends_on": "the documents are among the call's arguments",
        "tags": "the tags depend on the call's arguments",
    },
}
"""When to change an option. A new option needs a line here."""


def _when(title: str, name: str) -> str:
    if name not in WHEN[title]:
        raise SystemExit(f"WHEN in scripts/write_options.py has no line for the option {name}: add when to change it")
    return WHEN[title][name]


def page() -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION]
    for title, options in DOCUMENTED.items():
        rows = [
            f"| `{name}` | `{option.default!r}` | {option.doc} | {_when(title, name)} |"
            for name, option in options.items()
        ]
        head = ["| Option | Default | What it is | Change it when |", "|---|---|---|---|"]
        parts.append("\n".join([f"## {title}", "", *head, *rows, ""]))
    levels = {
        word: "" if known.reported else "info" if known.expected else "warning" for word, known in REASONS.items()
    }
    rows = [f"| `{word}` | {known.meaning} | {levels[word]} |" for word, known in REASONS.items()]
    return "\n".join([*parts, REFUSALS + "\n".join(rows), ""])


def main() -> int:
    """Write the page, or check it."""
    return write_or_check(PAGE, page(), "write_options")


if __name__ == "__main__":
    sys.exit(main())
