"""Write examples/tour.ipynb, with what its cells print: `python scripts/write_tour.py`.

Needs nbclient and ipykernel, which the extra `dev` brings.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).resolve().parents[1] / "examples" / "tour.ipynb"

CELLS = [
    """# A tour of semantic-llm-cache

Run the cells from top to bottom. They need no API key: a function stands for the model. In a checkout of the project:

    pip install ".[semantic]" jupyter && semantic-llm-cache model install && jupyter lab examples/tour.ipynb""",
    """import asyncio

from semantic_llm_cache import cache, get_stats, last_lookup

calls = []


@cache(similarity=0.85, ttl="1h")
async def ask(prompt: str, model: str = "small") -> str:
    calls.append(prompt)
    await asyncio.sleep(0.2)  # stands for your model
    return f"{model}: an answer to {prompt!r}"
""",
    "The first call runs the function. The same text again is an **exact hit**.",
    """await ask("How do I reset my password?")
await ask("How do I reset my password?")
print(last_lookup().outcome, "|", len(calls), "call")""",
    "Other words with the same meaning are a **near hit**. Every lookup says why.",
    """answer, lookup = await ask.with_lookup("How can I reset my password?")
print(answer)
print(lookup.outcome, "|", lookup.reason)""",
    """A text may be near and ask something else. **Guards** are rules for what cosine does not see: numbers, negations,
opposites, names.""",
    """await ask("How many km are 5 miles?")
lookup = await ask.cache_lookup("How many km are 6 miles?")  # asks the cache, never the function
print(lookup.outcome, "|", lookup.reason)""",
    "Everything but the text is **scope** and must be equal. Another model is another question.",
    """answer, lookup = await ask.with_lookup("How do I reset my password?", model="large")
print(lookup.outcome, "|", answer)""",
    "Of several identical calls at the same time, one runs. The others wait for its answer.",
    """before = len(calls)
answers = await asyncio.gather(*(ask("What is the capital of Peru?") for _ in range(20)))
print(len(answers), "answers,", len(calls) - before, "call")""",
    "Functions that make **streams** are cached too. A hit replays the chunks.",
    """@cache
async def stream(prompt: str):
    for word in ("one", "two", "three"):
        await asyncio.sleep(0.05)
        yield word


print([word async for word in stream("count")], last_lookup().outcome)
print([word async for word in stream("count")], last_lookup().outcome)""",
    "The counts so far:",
    """stats = get_stats()
print(stats["hits"], "hits,", stats["misses"], "misses")""",
    """Next: the [documentation](../docs/index.md) has recipes for FastAPI, LangChain and RAG, and says how to choose a
threshold for your own traffic.""",
]


def tour() -> nbformat.NotebookNode:
    """Return the notebook, not yet run."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, text in enumerate(CELLS):
        is_code = text.startswith(("import", "await", "answer", "before", "@cache", "stats"))
        make = nbformat.v4.new_code_cell if is_code else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(text.strip(), id=f"cell-{number}"))
    return notebook


def main() -> None:
    """Run the cells and write the notebook."""
    notebook = tour()
    NotebookClient(notebook, timeout=60, record_timing=False).execute()
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, TOUR)


if __name__ == "__main__":
    main()
