"""Every keyword of an SDK's method is scope, unless the door's table of neutral names has it.

The keywords are read from the method's own signature, so one that a later release adds is held to this too. A door
added later enters itself in `DOORS`. LiteLLM's is run by `test_other_versions.py`, in an environment of its own.
"""

import dataclasses
import importlib.util
import inspect
from contextlib import ExitStack, contextmanager

import pytest

from semantic_llm_cache.wire.formats import find_format
from semantic_llm_cache.wire.neutral import EXTENSIONS

ASKED = "How do I reset my password?"
MESSAGES = [{"role": "user", "content": ASKED}]
OTHER = [{"role": "user", "content": "Which rivers flow through France?"}]
SCHEMA = {"type": "object", "properties": {}}
TOOLS = [
    [{"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA, "strict": True}}]
    for name in ("a", "b")
]

# Tried in turn, until the SDK takes one of them.
PAIRS = [("a", "b"), (1, 2), (0.25, 0.5), (True, False), ({"a": "1"}, {"a": "2"}), (["a"], ["b"]), *[
    ([{"type": "a"}], [{"type": "b"}])]]  # fmt: skip


@dataclasses.dataclass
class Door:
    """A door, and how it is asked.

    Attributes:
        name: for people.
        needs: the package that must be there.
        keywords: returns the keywords of the SDK's method.
        opened: context manager that takes the local provider and gives a function: it takes keywords, and tells
            whether the answer came from the cache.
        base: keywords of a call that is answered.
        neutral: name of a keyword that does not count -> reason.
        values: pairs of values for keywords that do not take any of `PAIRS`.
    """

    name: str
    needs: str
    keywords: object
    opened: object
    base: dict
    neutral: dict
    values: dict = dataclasses.field(default_factory=dict)


def parameters(method):
    """Return the names of a method's parameters, without its instance."""
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(method).parameters.values()
    return [parameter.name for parameter in found if parameter.name != "self" and parameter.kind not in kinds]


def wire_door(name, needs, path, client, method, base, **values):
    """Return a door at the connection: `client` takes the provider's URL, `method` finds the method in a client."""

    @contextmanager
    def opened(server):
        wrapped = client(server.url)

        def ask(**keywords):
            calls = server.calls
            answer = method(wrapped)(**keywords)
            if hasattr(answer, "__next__") or hasattr(answer, "__stream__"):
                list(answer)
            return server.calls == calls

        with ExitStack() as stack:
            stack.callback(getattr(wrapped, "close", lambda: None))
            yield ask

    neutral = {**find_format(path).neutral, "timeout": EXTENSIONS["timeout"]}
    pairs = {
        "stream": (False, True),
        "tools": TOOLS,
        "timeout": (5, 6),
        "extra_headers": ({"x-a": "1"}, {"x-a": "2"}),
        **values,
    }
    return Door(name, needs, lambda: parameters(method(client("http://127.0.0.1:1"))), opened, base, neutral, pairs)


def openai_client(url):
    import openai

    from semantic_llm_cache.integrations.openai import wrap

    return wrap(openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0), backend="memory://")


def anthropic_client(url):
    import anthropic

    from semantic_llm_cache.integrations.anthropic import wrap

    return wrap(anthropic.Anthropic(api_key="k", base_url=url, max_retries=0), backend="memory://")


def ollama_client(url):
    import ollama

    from semantic_llm_cache.integrations.ollama import wrap

    return wrap(ollama.Client(url), backend="memory://")


def openai_door(name, path, method, **base):
    formats = ({"type": "text"}, {"type": "json_object"})
    return wire_door(f"openai {name}", "openai", path, openai_client, method, base, response_format=formats)


def ollama_door(name, **base):
    return wire_door(
        f"ollama {name}", "ollama", f"/api/{name}", ollama_client, lambda client: getattr(client, name), base,
        messages=(MESSAGES, OTHER), think=(True, False), format=("json", {"type": "object"}),
        options=({"seed": 1}, {"seed": 2}), context=([1], [2]), images=(["aGk="], ["aGs="]), keep_alive=("5m", "1h"),
    )  # fmt: skip


# ---------------------------------------------------------------------------- frameworks


def pydantic_settings():
    from pydantic_ai.models.openai import OpenAIChatModelSettings
    from pydantic_ai.settings import ModelSettings

    return [*{**ModelSettings.__annotations__, **OpenAIChatModelSettings.__annotations__}, "made_up"]


def pydantic_parameters():
    from pydantic_ai.models import ModelRequestParameters

    return [field.name for field in dataclasses.fields(ModelRequestParameters)]


def planned(door):
    """Return a function that tells whether a pydantic-ai request has the key of an earlier one."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    seen = set()

    def ask(messages, settings=None, parameters=None, tool=None):
        if tool is not None:
            parameters = {"function_tools": [ToolDefinition(**{"name": "a", **tool})]}
        request, _ = door._plan(messages, settings, ModelRequestParameters(**(parameters or {})))
        shared = request.key in seen
        seen.add(request.key)
        return shared

    return ask


def pydantic_door(name, keywords, neutral, wanted, values):
    @contextmanager
    def opened(server):
        from pydantic_ai.messages import ModelRequest, UserPromptPart
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        from semantic_llm_cache.integrations.pydantic_ai import CachedModel

        provider = OpenAIProvider(base_url=f"{server.url}/v1", api_key="k")
        ask = planned(CachedModel(OpenAIChatModel("m", provider=provider), backend="memory://"))
        messages = [ModelRequest(parts=[UserPromptPart(ASKED)])]
        yield lambda **given: ask(messages, **{wanted: given})

    return Door(name, "pydantic_ai", keywords, opened, {}, neutral, values)


def pydantic_doors():
    if importlib.util.find_spec("pydantic_ai") is None:
        return []
    from pydantic_ai.messages import InstructionPart
    from pydantic_ai.native_tools import CodeExecutionTool, WebSearchTool
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    from semantic_llm_cache.integrations import _pydantic_ai_scope as tables

    tools = ([ToolDefinition(name="a")], [ToolDefinition(name="b")])
    names = ({"a"}, {"b"})
    return [
        pydantic_door("pydantic-ai settings", pydantic_settings, tables.SETTINGS, "settings", {}),
        pydantic_door(
            "pydantic-ai parameters", pydantic_parameters, tables.PARAMETERS, "parameters",
            {
                "function_tools": tools, "output_tools": tools,
                "native_tools": ([WebSearchTool()], [CodeExecutionTool()]),
                "revealed_tool_names": names, "introduced_tool_names": names, "deferred_capability_ids": names,
                "output_object": tuple(OutputObjectDefinition(json_schema={"title": name}) for name in "ab"),
                "instruction_parts": tuple([InstructionPart(content=name)] for name in "ab"),
            },
        ),
        pydantic_door(
            "pydantic-ai tools", lambda: [field.name for field in dataclasses.fields(ToolDefinition)], {}, "tool", {}
        ),
    ]  # fmt: skip


@contextmanager
def langchain_opened(server):
    from semantic_llm_cache.integrations.langchain import LangChainCache

    cache, seen = LangChainCache(backend="memory://"), set()

    def ask(**keywords):
        key = cache._request(**keywords)[0].key
        shared = key in seen
        seen.add(key)
        return shared

    yield ask


def langchain_keywords():
    from langchain_core.caches import BaseCache

    return parameters(BaseCache.lookup)


@contextmanager
def litellm_opened(server):
    import litellm

    from semantic_llm_cache.integrations.litellm import LiteLLMCache

    cache, seen = LiteLLMCache(backend="memory://"), set()

    def ask(**keywords):
        request = cache.cache._request(cache.get_cache_key(**keywords), keywords)
        key = request[0].key if request is not None else object()
        shared = key in seen
        seen.add(key)
        return shared

    assert litellm.cache is None
    yield ask


def litellm_keywords():
    import litellm
    from litellm.types.utils import all_litellm_params

    cloud = ["aws_region_name", "aws_role_name", "vertex_project", "vertex_location", "azure_ad_token", "organization"]
    found = [*parameters(litellm.completion), *parameters(litellm.embedding), *all_litellm_params, *cloud]
    more = ["project", "base_url", "api_base", "extra_body", "extra_query", "made_up"]
    return [name for name in dict.fromkeys([*found, *more]) if name != "self"]


def litellm_doors():
    if importlib.util.find_spec("litellm") is None:
        return []
    from semantic_llm_cache.integrations import _litellm_scope as tables

    base = {"model": "openai/m", "messages": MESSAGES, "api_key": "k"}
    metadata = ({"user_id": "a"}, {"user_id": "b"})
    values = {"messages": (MESSAGES, OTHER), "metadata": metadata, "cache": ({"namespace": "a"}, {"namespace": "b"})}
    return [Door("litellm", "litellm", litellm_keywords, litellm_opened, base, tables.KEYWORDS, values)]


DOORS = [
    openai_door("chat", "/v1/chat/completions", lambda c: c.chat.completions.create, model="m", messages=MESSAGES),
    openai_door("parse", "/v1/chat/completions", lambda c: c.chat.completions.parse, model="m", messages=MESSAGES),
    openai_door("responses", "/v1/responses", lambda c: c.responses.create, model="m", input=ASKED),
    openai_door("embeddings", "/v1/embeddings", lambda c: c.embeddings.create, model="m", input=ASKED),
    wire_door(
        "anthropic", "anthropic", "/v1/messages", anthropic_client, lambda client: client.messages.create,
        {"model": "m", "messages": MESSAGES, "max_tokens": 9},
    ),
    ollama_door("chat", model="m", messages=MESSAGES),
    ollama_door("generate", model="m", prompt=ASKED),
    ollama_door("embed", model="m", input=ASKED),
    *pydantic_doors(),
    Door("langchain", "langchain_core", langchain_keywords, langchain_opened, {"prompt": ASKED, "llm_string": "m"}, {}),
    *litellm_doors(),
]  # fmt: skip


def cases():
    for door in DOORS:
        if importlib.util.find_spec(door.needs) is not None:
            for keyword in door.keywords():
                yield pytest.param(door, keyword, id=f"{door.name}-{keyword}")


@pytest.mark.parametrize(("door", "keyword"), list(cases()))
def test_a_keyword_is_scope_unless_it_is_listed(server, door, keyword):
    pairs = [door.values[keyword]] if keyword in door.values else PAIRS
    for one, other in pairs:
        with door.opened(server) as ask:
            try:
                first = ask(**{**door.base, keyword: one})
                second = ask(**{**door.base, keyword: other})
            except Exception as error:  # the SDK does not take such a value
                refused = error
                continue
        assert not first
        assert second == (keyword in door.neutral)
        return
    raise AssertionError(f"give a pair of values for {keyword} of {door.name}") from refused


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_every_neutral_name_has_its_reason(door):
    assert all(len(reason) > 8 for reason in door.neutral.values())
