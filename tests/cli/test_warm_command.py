"""`warm`: what it reads and says, and that programs find what it stored: a real client, a real server, a real file."""

import json
import sys

import anthropic
import httpx2
import openai
import pytest
from cli_helpers import read
from wire_provider import provider

from semantic_llm_cache.integrations.anthropic import wrap as wrap_anthropic
from semantic_llm_cache.integrations.httpx import CachingTransport
from semantic_llm_cache.integrations.openai import wrap

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


def completion(text="By mail.", finish="stop"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    head = {"id": "chatcmpl-logged", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


def write(path, *records):
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records), encoding="utf-8")
    return path


def pair(text=ASKED, **body):
    return {"request": {"model": "m", "messages": user(text), **body}, "response": completion()}


@pytest.fixture
def server():
    with provider() as running:
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


@pytest.fixture(autouse=True)
def environment(monkeypatch, server):
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")


def ask(path, text=ASKED, client=None, body=None, **options):
    """Ask as a program would that has the client's defaults: the address and the key of the environment."""
    given = {"similarity": 0.9, "backend": f"sqlite:///{path}", **options}
    with wrap(openai.OpenAI(**(client or {})), **given) as opened:
        return opened.chat.completions.create(**{"model": "m", "messages": user(text), **(body or {})})


def test_a_batch_then_the_program_makes_no_request(run, tmp_path, path, server):
    body = {"model": "m", "messages": user(ASKED), "temperature": 0}
    told = {"status_code": 200, "request_id": "req", "body": completion()}
    requests = write(
        tmp_path / "in.jsonl", {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    )
    output = write(
        tmp_path / "out.jsonl",
        {"custom_id": "a", "response": told, "error": None},
        {"custom_id": "b", "response": None, "error": {"code": "expired"}},
        {"custom_id": "c", "response": told, "error": None},
        "{broken",
    )
    code, out, err = run("warm", output, "--requests", requests, "--db", path, "--ttl", "7d")
    assert code == 0
    assert out.splitlines() == [
        f"Stored 1 answer in sqlite:///{path}, kept for 7 d (--ttl).",
        f"{output}: openai-batch, 4 records",
        "          1 stored",
        "          1 left out: a failed request",
        "          2 broken",
    ]
    assert f"{output}, line 3: custom_id 'c' is not among the requests" in err
    assert f"{output}, line 4: not JSON" in err
    for text in (ASKED, AGAIN):
        assert ask(path, text, body={"temperature": 0}).id == "chatcmpl-logged"
    assert server.calls == 0
    (entry,) = read(path).values()
    assert (entry.ttl, entry.tags, entry.output_tokens) == (604800.0, ("model:m",), 12)
    assert b"sk-secret" not in b"".join(p.read_bytes() for p in tmp_path.glob("cache.db*"))


def test_files_of_several_formats_in_one_go(run, tmp_path, path, server):
    litellm = {
        "call_type": "completion", "messages": user("one?"), "model": "m", "response": completion(),
        "model_parameters": {}, "status": "success",
    }  # fmt: skip
    langfuse = {
        "id": "o", "traceId": "t", "type": "GENERATION", "model": "m-1", "input": user("two?"), "output": "By mail.",
    }  # fmt: skip
    logs = [
        write(tmp_path / "litellm.jsonl", litellm),
        write(tmp_path / "langfuse.json", json.dumps({"data": [langfuse]}, indent=1)),
        write(tmp_path / "pairs.jsonl", pair("three?"), pair("three?")),
        write(tmp_path / "faq.jsonl", {"prompt": "four?", "response": "4"}),
    ]
    options = ("--namespace", "chat", "--map-model", "m-1=m", "--set", "temperature=0.5", "--json")
    code, out, err = run("warm", *logs, "--db", path, *options)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [log["format"] for log in found["logs"]] == ["litellm", "langfuse", "pairs", "plain"]
    assert [(log["stored"], log["there"]) for log in found["logs"]] == [(1, 0), (1, 0), (1, 1), (1, 0)]
    for text in ("one?", "two?", "three?"):
        answer = ask(path, text, body={"temperature": 0.5}, namespace="chat")
        assert answer.choices[0].message.content == "By mail."
    assert server.calls == 0


def test_the_organisation_of_the_environment_counts_as_it_does_for_the_client(run, tmp_path, path, server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    log = write(tmp_path / "log.jsonl", pair())
    assert run("warm", log, "--db", path)[0] == 0
    assert ask(path).id == "chatcmpl-logged"
    monkeypatch.setenv("OPENAI_ORG_ID", "org-2")
    ask(path)
    assert server.calls == 1


def test_options_of_wrap(run, tmp_path, path, server):
    talk = [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    tool = {**completion(None, "tool_calls")}
    tool["choices"][0]["message"]["tool_calls"] = [call]
    log = write(
        tmp_path / "log.jsonl",
        {"request": {"model": "m", "messages": talk, "user": "u"}, "response": completion()},
        {"request": {"model": "m", "messages": user("call it")}, "response": tool},
    )
    options = {"history": "window:0", "tool_calls": "cache", "ignore": ("user",), "scope": {"tenant": 7}}
    code, out, _ = run(
        "warm", log, "--db", path, "--share-across-keys", "--history", "window:0", "--tool-calls", "cache",
        "--ignore", "user", "--scope", '{"tenant": 7}', "--header", "X-Tenant=a", "--ignore-header", "x-build",
        "--base-url", f"{server.url}/other/v1/", "--ttl", "never",
    )  # fmt: skip
    assert (code, out.splitlines()[0]) == (0, f"Stored 2 answers in sqlite:///{path}, kept for ever (--ttl).")
    client = {
        "api_key": "another",
        "base_url": f"{server.url}/other/v1",
        "default_headers": {"X-Tenant": "a", "X-Build": "7"},
    }
    options.update(share_across_keys=True, neutral_headers=("x-build",))
    assert ask(path, client=client, **options).id == "chatcmpl-logged"
    assert ask(path, "call it", client=client, **options).choices[0].message.tool_calls[0].id == "c"
    assert server.calls == 0


def test_another_client_with_a_header_of_its_own(run, tmp_path, path, server):
    answer = {
        "id": "msg_logged", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None,
        "content": [{"type": "text", "text": "By mail."}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 12},
    }  # fmt: skip
    asked = {"model": "m", "max_tokens": 64, "messages": user(ASKED)}
    client = anthropic.Anthropic(api_key="sk-secret-of-the-test", base_url=server.url)
    version = f"anthropic-version={client.default_headers['anthropic-version']}"
    log = write(tmp_path / "log.jsonl", {"request": asked, "response": answer})
    assert run("warm", log, "--db", path, "--base-url", server.url, "--header", version)[0] == 0
    with wrap_anthropic(client, backend=f"sqlite:///{path}", similarity=0.9) as opened:
        assert opened.messages.create(**asked).id == "msg_logged"
        assert opened.messages.create(**{**asked, "messages": user(AGAIN)}).id == "msg_logged"
    assert server.calls == 0


def test_another_key_in_another_header(run, tmp_path, path, server, monkeypatch):
    monkeypatch.setenv("GATEWAY_KEY", "g")
    log = write(tmp_path / "log.jsonl", pair())
    options = ("--api-key-env", "GATEWAY_KEY", "--api-key-header", "Api-Key")
    assert run("warm", log, "--db", path, *options)[0] == 0
    for key, outcome in (("g", "HIT"), ("h", "MISS")):
        with httpx2.Client(transport=CachingTransport(backend=f"sqlite:///{path}"), headers={"api-key": key}) as http:
            reply = http.post(f"{server.url}/v1/chat/completions", json=pair()["request"])
            assert reply.headers["x-cache"] == outcome
    monkeypatch.delenv("GATEWAY_KEY")
    code, out, err = run("warm", log, "--db", path, *options)
    assert (code, out) == (2, "")
    assert "GATEWAY_KEY is not set" in err
    assert "--share-across-keys" in err


def test_a_function_named_on_the_command_line(run, tmp_path, path, monkeypatch):
    module = """
        from semantic_llm_cache import cache

        @cache(similarity=0.9, ttl="2h", backend="sqlite:///{path}")
        def ask(prompt: str, model: str = "small") -> str:
            raise RuntimeError("called")

        @cache
        def in_memory(prompt: str) -> str:
            raise RuntimeError("called")

        def plain(prompt: str) -> str:
            return prompt
    """
    (tmp_path / "warmed_answers.py").write_text(
        "\n".join(line[8:] for line in module.format(path=path).splitlines()), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    log = write(tmp_path / "faq.jsonl", {"prompt": ASKED, "response": "By mail."}, pair("Where?"))
    code, out, _ = run("warm", log, "--function", "warmed_answers:ask", "--argument", "model=large")
    assert (code, out.splitlines()[0]) == (0, f"Stored 1 answer in sqlite:///{path}.")
    import warmed_answers

    assert warmed_answers.ask(AGAIN, "large") == "By mail."
    (entry,) = read(path).values()
    assert entry.ttl == 7200.0
    for name, said in (
        ("warmed_answers:in_memory", "keeps its entries in its own memory"),
        ("warmed_answers:plain", "is not a function decorated with @cache"),
        ("warmed_answers:nope", "has no attribute"),
        ("no_such_module:ask", "No module named 'no_such_module' (run this in the folder that holds it)"),
        ("warmed_answers", "write MODULE:NAME"),
    ):
        code, out, err = run("warm", log, "--function", name)
        assert (code, out) == (2, "")
        assert said in err
    other = tmp_path / "other.db"
    assert run("warm", log, "--function", "warmed_answers:in_memory", "--db", other)[0] == 0
    assert len(read(other)) == 1


def test_plain_lines_for_a_namespace(run, tmp_path, path):
    from semantic_llm_cache import cache

    log = write(tmp_path / "faq.jsonl", {"question": ASKED, "answer": "By mail."})
    code, _, err = run("warm", log, "--db", path)
    assert code == 2
    assert "each function has its own entries" in err
    assert run("warm", log, "--db", path, "--namespace", "faq")[0] == 0

    @cache(namespace="faq", backend=f"sqlite:///{path}")
    def ask(question: str) -> str:
        raise RuntimeError("called")

    assert ask(ASKED) == "By mail."


def test_equal_prompts_only(run, tmp_path, path, server):
    log = write(tmp_path / "log.jsonl", pair())
    assert run("warm", log, "--db", path, "--embedder", "none")[0] == 0
    assert [entry.embedding for entry in read(path).values()] == [None]
    assert ask(path).id == "chatcmpl-logged"
    assert server.calls == 0
    code, _, err = run("warm", log, "--db", path, "--embedder", "nope")
    assert (code, "--embedder nope" in err) == (2, True)


def test_without_a_model_here_equal_prompts_are_stored_and_that_is_said(run, tmp_path, path, monkeypatch):
    from semantic_llm_cache.similarity import factory, weights

    monkeypatch.setattr(weights, "has_package", lambda name: False)
    monkeypatch.setattr(factory._process, "models", {})
    code, out, err = run("warm", write(tmp_path / "log.jsonl", pair()), "--db", path)
    assert (code, out.startswith("Stored 1 answer")) == (0, True)
    assert "only equal prompts will be found" in err
    assert "model install" in err


def test_again_overwrite_and_dry_run(run, tmp_path, path):
    log = write(tmp_path / "log.jsonl", pair())
    code, out, _ = run("warm", log, "--db", path, "--dry-run")
    assert (code, out.splitlines()[0]) == (0, f"Would store 1 answer in {path}, kept for 1 h (--ttl).")
    assert not path.exists()
    assert run("warm", log, "--db", path)[1].startswith("Stored 1 answer")
    code, out, _ = run("warm", log, "--db", path)
    assert out.startswith("Stored 0 answers")
    assert "1 there already" in out
    assert run("warm", log, "--db", path, "--overwrite")[1].startswith("Stored 1 answer")
    code, out, _ = run("warm", log, "--db", path, "--overwrite", "--max-age", "1d")
    assert "1 left out: too old" in out


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("nope.jsonl", "--db", "{db}"), 1, "no such file"),
        (("{log}", "--requests", "nope.jsonl", "--db", "{db}"), 1, "no such file"),
        (("{log}", "{other}", "--db", "{db}"), 2, "cannot recognise the format of"),
        (("{output}", "--db", "{db}"), 2, "name the batch's input with --requests"),
        (("{input}", "--db", "{db}"), 2, "holds no answers"),
        (("{log}",), 2, "which cache?"),
        (("{log}", "--db", "{db}", "--ttl", "soon"), 2, "--ttl='soon' cannot be read"),
        (("{log}", "--db", "{db}", "--max-age", "0"), 2, "--max-age=0"),
        (("{log}", "--db", "{db}", "--history", "all"), 2, "history='all'"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, tmp_path, path, argv, code, said):
    files = {
        "log": write(tmp_path / "log.jsonl", pair()),
        "other": write(tmp_path / "other.jsonl", {"x": 1}),
        "output": write(tmp_path / "output.jsonl", {"custom_id": "a", "response": {}}),
        "input": write(tmp_path / "input.jsonl", {"custom_id": "a", "body": {}}),
        "db": path,
    }
    got, out, err = run("warm", *(part.format(**files) for part in argv))
    assert (got, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [(), ("a", "--header", "x"), ("a", "--scope", "[1]"), ("a", "--format", "nope")])
def test_a_wrong_command_line_is_2(run, argv):
    assert run("warm", *argv)[0] == 2


def test_only_the_first_broken_lines_are_shown_and_all_counted(run, tmp_path, path):
    log = write(tmp_path / "log.jsonl", pair(), *["{"] * 14)
    code, out, err = run("warm", log, "--db", path)
    assert code == 0
    assert "14 broken" in out
    shown = [line for line in err.splitlines() if "line " in line]
    assert len(shown) == 10
    assert "and 4 more broken records" in err
    assert run("warm", write(tmp_path / "none.jsonl", *["{"] * 3), "--db", path, "--format", "pairs")[0] == 1


def test_progress_is_told_in_percent(run, tmp_path, path):
    log = write(tmp_path / "log.jsonl", *(pair(f"Question number {n}?") for n in range(300)))
    code, out, err = run("warm", log, "--db", path, "--embedder", "none")
    assert (code, out.startswith("Stored 300 answers")) == (0, True)
    assert err.splitlines()[-1] == "100 %  300 stored"
