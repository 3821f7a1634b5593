"""One JSON event for each call, in a logger of the standard library or one like structlog's."""

import json
import logging

import pytest

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.engine.listening import EVERYWHERE
from semantic_llm_cache.telemetry import events

SECRET = "my secret prompt"


def vector(text):
    return [1.0, 0.001 * len(text)]


async def exercise(engine):
    for text in (SECRET, SECRET, SECRET + "?"):
        await engine.get_or_call(Request("faq", text=text), lambda: SECRET)


@pytest.fixture
def engine():
    return SemanticCache("memory://", embedder=vector, similarity=0.9)


async def test_one_document_for_each_call(engine, caplog):
    with events.log_lookups() as attachment, caplog.at_level(logging.INFO):
        assert events.log_lookups() is attachment
        await exercise(engine)
    assert [record.name for record in caplog.records] == ["semantic_llm_cache.lookups"] * 3
    miss, exact, near = (json.loads(record.getMessage()) for record in caplog.records)
    assert [one["outcome"] for one in (miss, exact, near)] == ["miss", "exact", "near"]
    assert {one.pop("event") for one in (miss, exact, near)} == {"semantic_llm_cache.lookup"}
    assert caplog.records[0].lookup == miss
    assert miss["stored"] is True
    assert {"embed_ms", "search_ms", "decide_ms", "call_ms"} <= miss.keys()
    assert exact["saved_output_tokens"] == 4
    assert near["tier"] == "near"
    assert "call_ms" not in near
    assert EVERYWHERE.listeners == ()


@pytest.mark.parametrize("prompts", [False, True])
async def test_no_prompt_unless_asked(engine, caplog, prompts):
    with events.log_lookups(cache=engine, prompts=prompts), caplog.at_level(logging.INFO):
        await exercise(engine)
    assert (SECRET in caplog.text) is prompts
    if prompts:
        assert json.loads(caplog.records[2].getMessage())["matched_prompt"] == SECRET


async def test_nothing_is_formatted_for_a_logger_that_is_off(engine, caplog):
    logger = logging.getLogger("test.lookups.off")
    logger.setLevel(logging.WARNING)
    with events.log_lookups(logger):
        await exercise(engine)
    with events.log_lookups(logger, level=logging.WARNING):
        await engine.get_or_call(Request("faq", text=SECRET), lambda: SECRET)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_logger_like_structlogs_gets_the_fields(engine):
    class Bound:
        def __init__(self):
            self.seen = []

        def info(self, event, **fields):
            self.seen.append((event, fields))

    logger = Bound()
    with events.log_lookups(logger):
        await exercise(engine)
    assert [name for name, _ in logger.seen] == ["semantic_llm_cache.lookup"] * 3
    assert [fields["outcome"] for _, fields in logger.seen] == ["miss", "exact", "near"]
    json.dumps([fields for _, fields in logger.seen])


async def test_odd_text_can_be_written(engine, caplog):
    with events.log_lookups(prompts=True), caplog.at_level(logging.INFO):
        await engine.get_or_call(Request("faq", text="line\nand \ud800"), lambda: "b")
    text = caplog.records[0].getMessage()
    assert "\n" not in text
    assert text.encode()


def test_a_bad_logger_is_named():
    with pytest.raises(TypeError, match="logger="):
        events.log_lookups("semantic_llm_cache")
    assert EVERYWHERE.listeners == ()
