"""The tables of neutral names in docs/keys.md are those in the code, word by word."""

import sys
from pathlib import Path

import pytest

from semantic_llm_cache.integrations import _carrier, _litellm_scope
from semantic_llm_cache.integrations.langchain import scope as langchain
from semantic_llm_cache.wire import FORMATS, neutral

DOCS = (Path(__file__).parent.parent.parent / "docs" / "keys.md").read_text(encoding="utf-8")
HEADING = "## HTTP requests and SDK integrations"


def rows(pairs):
    return "\n".join(f"| {name} | {reason} |" for name, reason in pairs)


def code(table):
    return rows((f"`{name}`", reason) for name, reason in table.items())


def values():
    return rows(
        (f"`{name}`", f"{', '.join(f'`{value}`' for value in sorted(said))}: {reason}")
        for name, (said, reason) in neutral.VALUES.items()
    )


def members():
    return rows(
        (f"`{name}`: `{member}`", reason)
        for name, (_, table) in neutral.MEMBERS.items()
        for member, reason in table.items()
    )


def fields():
    told = {}
    for known in FORMATS:
        for name, reason in known.neutral.items():
            told.setdefault((name, reason), []).append(known.name)
        for name, reason in known.stream_options.items():
            told.setdefault((f"stream_options.{name}", reason), []).append(known.name)
    return rows(
        (f"`{name}`", f"{reason} ({'all' if len(formats) == len(FORMATS) else ', '.join(formats)})")
        for (name, reason), formats in told.items()
    )


TABLES = {
    "headers": code(neutral.HEADERS),
    "values": values(),
    "members": members(),
    "credentials": code(neutral.CREDENTIALS),
    "query credentials": code(neutral.QUERY_CREDENTIALS),
    "fields": fields(),
    "extensions": code(neutral.EXTENSIONS),
    "pools": code(_carrier.NEUTRAL),
    "litellm keywords": code(_litellm_scope.KEYWORDS),
    "litellm metadata": code(_litellm_scope.METADATA),
    "litellm cache": code(_litellm_scope.CACHE),
    "litellm credentials": code(_litellm_scope.CREDENTIALS),
    "litellm settings": code(_litellm_scope.SETTINGS),
    "litellm environment": code(_litellm_scope.ENVIRONMENT),
    "langchain keywords": code(langchain.KEYWORDS),
    "langchain messages": code(langchain.MESSAGES),
    "langchain models": code(langchain.MODEL),
}
if sys.version_info >= (3, 11):  # pydantic-ai does not support Python 3.10
    from semantic_llm_cache.integrations import _pydantic_ai_scope

    TABLES.update(
        {
            "pydantic-ai settings": code(_pydantic_ai_scope.SETTINGS),
            "pydantic-ai parameters": code(_pydantic_ai_scope.PARAMETERS),
            "pydantic-ai messages": code(_pydantic_ai_scope.MESSAGES),
            "pydantic-ai models": code(_pydantic_ai_scope.MODEL),
        }
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_in_the_docs_as_it_is_in_the_code(name):
    section = DOCS.partition(HEADING)[2]
    assert f"|---|---|\n{TABLES[name]}\n\n" in f"{section}\n\n"


def test_the_docs_list_nothing_else():
    section = DOCS.partition(HEADING)[2]
    listed = [line for line in section.splitlines() if line.startswith("| `")]
    known = [line for table in TABLES.values() for line in table.splitlines()]
    assert sys.version_info < (3, 11) or sorted(listed) == sorted(known)


def test_the_words_of_the_environment_are_listed():
    assert ", ".join(f"`{word}`" for word in _litellm_scope.WORDS) in DOCS.replace("\n", " ")
