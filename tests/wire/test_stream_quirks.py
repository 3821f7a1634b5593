"""Streams as many servers send them: fields repeated, finishes told twice, ends left out. Doubt is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.calls.refusals import NotStored, word_of
from semantic_llm_cache.wire import Reading, find_format
from semantic_llm_cache.wire.events import as_event, as_line

CHAT, MESSAGES, RESPONSES = map(find_format, ("/chat/completions", "/v1/messages", "/v1/responses"))
OLLAMA, GENERATE = find_format("/api/chat"), find_format("/api/generate")
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def chunk(delta=None, finish=None, index=0, choice=(), **top):
    piece = {"index": index, "delta": delta or {}, "finish_reason": finish, **dict(choice)}
    return as_event({**HEAD, "choices": [piece], **top})


def usage(counts=None):
    return as_event({**HEAD, "choices": [], "usage": USAGE if counts is None else counts})


DONE = as_event("[DONE]")


STOPPED = chunk({}, "stop"), usage(), DONE


def chat(*blocks, end=STOPPED, asked=None):
    return CHAT.read_stream([chunk({"role": "assistant"}), *blocks, *end], asked)


def message(*blocks, **options):
    return chat(*blocks, **options)["choices"][0]["message"]


def refused(word, make, *blocks, **options):
    with pytest.raises(NotStored) as caught:
        make(*blocks, **options)
    assert word_of(caught.value.reason) == word, caught.value.reason
    return caught.value.reason


def call(arguments=None, **fields):
    function = fields.pop("function", {})
    if arguments is not None:
        function = {**function, "arguments": arguments}
    return {"tool_calls": [{**fields, "function": function}]}


TOOL_END = (chunk({}, "tool_calls"), usage(), DONE)
POWER = {"id": "1", "type": "function", "function": {"name": "power", "arguments": '{"n": 2}'}}


def tools(*deltas):
    return message(*map(chunk, deltas), end=TOOL_END)["tool_calls"]


# ------------------------------------------------------------------------------ whole fields told again


def test_fields_repeated_in_each_chunk_are_told_once():
    whole = {"index": 0, "id": "1", "type": "function", "function": {"name": "power"}}
    assert tools(*(call(piece, **whole) for piece in ("", '{"n"', ": 2}"))) == [POWER]
    assert message(*(chunk({"role": "assistant", "content": text}) for text in ("a", "b")))["role"] == "assistant"


def test_a_name_in_parts_is_joined():
    first = {"index": 0, "id": "1", "type": "function", "function": {"name": "po"}}
    assert tools(call(**first), call(index=0, function={"name": "wer"}), call('{"n": 2}', index=0)) == [POWER]


@pytest.mark.parametrize(
    "names",
    [("po", "power"), ("p", "po", "pow"), ("po", "wer", "power"), ("po", "wer", "wer"), ("go", "_", "go")],
    ids="-".join,
)
def test_a_name_that_may_be_parts_or_repeats_is_refused(names):
    deltas = [call(index=0, id="1", function={"name": name}) for name in names]
    assert "'name'" in refused("ambiguous", tools, *deltas, call("{}", index=0))


def test_a_name_that_goes_on_after_its_arguments_is_refused():
    deltas = call("{}", index=0, id="1", function={"name": "add"}), call("{}", index=0, function={"name": "_all"})
    refused("ambiguous", tools, *deltas)


def test_two_calls_under_one_index_are_refused():
    deltas = [call("{}", index=0, id=name, function={"name": name}) for name in ("add", "power")]
    refused("ambiguous", tools, *deltas)


def test_ids_that_change_with_each_chunk_are_refused():
    deltas = [call(piece, index=0, id=f"r{piece}", function={"name": "power"}) for piece in ('{"n"', ": 2}")]
    assert "'id'" in refused("ambiguous", tools, *deltas)


def test_arguments_told_whole_each_time_are_refused():
    start = call(index=0, id="1", function={"name": "power"})
    for texts in (['{"n": 2}'] * 2, ['{"n"', '{"n": 2}'], ['{"n"', ": 2}", '{"n": 2}']):
        refused("ambiguous", tools, start, *(call(text, index=0) for text in texts))


def test_a_legacy_function_call_is_put_together_in_the_same_way():
    deltas = [{"function_call": {"name": "power", "arguments": piece}} for piece in ('{"n"', ": 2}")]
    found = message(*map(chunk, deltas), end=(chunk({}, "function_call"), usage(), DONE))
    assert found["function_call"] == POWER["function"]
    deltas[1]["function_call"]["name"] = "powers"
    refused("ambiguous", message, *map(chunk, deltas))


# ------------------------------------------------------------------------------ tool calls without an index


def test_tool_calls_without_an_index_are_told_apart_by_their_ids():
    two = [call("{}", id=name, function={"name": name}) for name in ("a", "b")]
    assert [found["id"] for found in tools(*two)] == ["a", "b"]
    both = {"tool_calls": [delta["tool_calls"][0] for delta in two]}
    assert [found["id"] for found in tools(both)] == ["a", "b"]


def test_one_tool_call_goes_on_without_index_and_id():
    whole = {"id": "1", "type": "function", "function": {"name": "power"}}
    assert tools(call("", **whole), call('{"n"'), call(": 2}")) == [POWER]
    assert tools(call("", index=None, **whole), call('{"n": 2}', index=None)) == [POWER]


def test_what_may_belong_to_either_of_two_calls_is_refused():
    two = [call("{", id=name, function={"name": name}) for name in ("a", "b")]
    refused("ambiguous", tools, *two, call("}"))
    refused("ambiguous", tools, two[0], call("}", function={"name": "b"}))
    refused("ambiguous", tools, two[0], call("}", index=1, id="b", function={"name": "b"}))
    refused("ambiguous", tools, call("{}", index="0", id="a", function={"name": "a"}))


def test_a_tool_call_with_a_gap_or_without_a_name_is_refused():
    refused("incomplete", tools, call("{}", index=1, id="1", function={"name": "a"}))
    refused("incomplete", tools, call("{}", index=0, id="1"))
    refused("incomplete", tools, call("{}", index=0, function={"name": "a"}))


# ------------------------------------------------------------------------------ texts


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning", "refusal"])
def test_texts_come_in_pieces_and_what_may_be_the_whole_each_time_is_refused(field):
    say = [chunk({field: text}) for text in ("Par", "is", " is")]
    assert message(*say)[field] == "Paris is"
    for texts in (["Paris", "Paris"], ["Par", "Paris"], ["Pa", "Pari", "Paris"], ["Par", "is", "Paris"]):
        assert field in refused("ambiguous", message, *(chunk({field: text}) for text in texts))


def test_openrouters_reasoning_details_are_joined_by_index_and_type():
    def detail(index, kind="reasoning.text", **more):
        return chunk({"reasoning_details": [{"type": kind, "format": "f", "index": index, **more}]})

    found = message(
        detail(0, text="Let"), detail(0, text=" me see."), detail(0, signature="s"),
        detail(1, text="Then", id="x"), detail(1, "reasoning.encrypted", data="e"),
    )["reasoning_details"]  # fmt: skip
    assert found == [
        {"type": "reasoning.text", "format": "f", "index": 0, "text": "Let me see.", "signature": "s"},
        {"type": "reasoning.text", "format": "f", "index": 1, "text": "Then", "id": "x"},
        {"type": "reasoning.encrypted", "format": "f", "index": 1, "data": "e"},
    ]
    refused("ambiguous", message, detail(0, signature="s"), detail(0, signature="t"))
    refused("ambiguous", message, detail(None, text="a"), detail(None, text="b"))
    once = [{"type": "reasoning.text", "text": "a"}, {"type": "reasoning.text", "text": "b"}]
    assert message(chunk({"reasoning_details": once}))["reasoning_details"] == once


def test_audio_annotations_and_unknown_fields():
    audio = [{"id": "a"}, {"data": "AAAA"}, {"data": "BB==", "transcript": "Hi"}, {"transcript": " you"},
             {"expires_at": 7}]  # fmt: skip
    assert message(*(chunk({"audio": part}) for part in audio))["audio"] == {
        "id": "a", "data": "AAAABB==", "transcript": "Hi you", "expires_at": 7,
    }  # fmt: skip
    refused("ambiguous", message, *(chunk({"audio": {"data": part}}) for part in ("AA==", "BBBB")))
    notes = [{"type": "url_citation", "url_citation": {"url": url}} for url in "ab"]
    assert message(*(chunk({"annotations": [note]}) for note in notes))["annotations"] == notes
    refused("ambiguous", message, chunk({"annotations": notes[:1]}), chunk({"annotations": notes}))
    assert message(chunk({"channel": "final"}), chunk({"content": "a"}))["channel"] == "final"
    refused("ambiguous", message, chunk({"channel": "final"}), chunk({"channel": "final"}))


def test_logprobs_are_joined():
    one, two = ({"content": [{"token": token}], "refusal": None} for token in "ab")
    found = chat(chunk({"content": "a"}, choice={"logprobs": one}), chunk({"content": "b"}, choice={"logprobs": two}))
    assert found["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


# ------------------------------------------------------------------------------ ends


SAID = chunk({"content": "Paris"})


def test_a_finish_told_twice_is_one_finish():
    twice = chunk({}, "stop"), chunk({"role": "assistant", "content": ""}, "stop", usage=USAGE), DONE
    found = chat(SAID, end=twice)
    assert (found["choices"][0]["finish_reason"], found["usage"]) == ("stop", USAGE)
    refused("ambiguous", chat, SAID, end=(chunk({}, "stop"), chunk({}, "tool_calls"), DONE))
    refused("ambiguous", chat, SAID, end=(chunk({}, "stop"), chunk({"content": "!"}, "stop"), DONE))
    refused("incomplete", chat, SAID, end=(chunk({}, ""), DONE))


def test_usage_told_twice_is_the_last_total():
    growing = {**USAGE, "completion_tokens": 3, "total_tokens": 12}
    assert chat(SAID, end=(chunk({}, "stop", usage=growing), usage(), DONE))["usage"] == USAGE
    refused("ambiguous", chat, SAID, end=(usage(), chunk({}, "stop", usage=growing), DONE))
    partly = {"prompt_tokens": 9, "completion_tokens": None}
    assert chat(SAID, end=(usage(), chunk({}, "stop", usage=partly), DONE))["usage"] == USAGE


def asked(**body):
    given = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}], **body}
    return CHAT.read(given, Reading())


def test_done_may_be_missing_where_nothing_else_is():
    assert chat(SAID, end=(chunk({}, "stop"),), asked=asked())["choices"][0]["message"]["content"] == "Paris"
    wants = asked(stream_options={"include_usage": True})
    refused("incomplete", chat, SAID, end=(chunk({}, "stop"),), asked=wants)
    assert chat(SAID, end=(chunk({}, "stop"), usage()), asked=wants)
    refused("incomplete", chat, SAID, end=(chunk({}, "stop", usage=None),))
    refused("incomplete", chat, SAID, end=(chunk({}, "stop"),), asked=asked(n=2))
    assert chat(SAID, chunk({"content": "a"}, "stop", 1), end=(chunk({}, "stop"),), asked=asked(n=2))
    refused("incomplete", chat, SAID, end=())


def test_events_that_say_nothing_are_left_out_and_others_are_refused():
    ping = as_event({"type": "ping"}, "ping"), ": OPENROUTER PROCESSING\n\n"
    assert "type" not in chat(SAID, *ping)
    refused("unknown", chat, SAID, as_event({"type": "progress", "text": "…"}))
    refused("unknown", chat, SAID, chunk({}, choice={"message": {"content": "Paris"}}))
    refused("no-answer", chat, SAID, as_event({"error": {"message": "no"}}))
    refused("unknown", chat, SAID, as_event({"message": "overloaded"}, "error"))


def test_fields_of_the_whole_answer_may_be_repeated_and_grow_but_not_change():
    cited = [chunk({"content": text}, citations=urls) for text, urls in (("a", ["1"]), ("b", ["1", "2"]))]
    assert chat(*cited)["citations"] == ["1", "2"]
    refused("ambiguous", chat, *reversed(cited))
    refused("ambiguous", chat, chunk({"content": "a"}, model="other"))
    assert chat(chunk({"content": "a"}, created=2))["created"] == 1
    safe, empty = {"hate": {"filtered": False, "severity": "safe"}}, {}
    found = chat(*(chunk({"content": t}, choice={"content_filter_results": f}) for t, f in (("a", empty), ("b", safe))))
    assert found["choices"][0]["content_filter_results"] == safe


def test_what_the_finish_chunk_says_of_a_choice_comes_back_when_an_answer_is_split():
    whole = chat(SAID, end=(chunk({}, "stop", choice={"native_finish_reason": "end"}), usage(), DONE))
    wants = asked(stream_options={"include_usage": True})
    assert CHAT.collect(CHAT.split(whole, wants), wants) == whole
    assert whole["choices"][0]["native_finish_reason"] == "end"


# ------------------------------------------------------------------------------ Anthropic


START = {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
         "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}}  # fmt: skip
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
       "usage": {"output_tokens": 12}}  # fmt: skip
STOP = {"type": "message_stop"}


def anthropic(*deltas, block=None, end=(END, STOP)):
    events = [
        START,
        {"type": "content_block_start", "index": 0, "content_block": block or {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        *end,
    ]
    return MESSAGES.read_stream([as_event(event, event["type"]) for event in events])


def text(*parts):
    return [{"type": "text_delta", "text": part} for part in parts]


def test_anthropic_texts_and_thinking():
    assert anthropic(*text("Par", "is"))["content"] == [{"type": "text", "text": "Paris"}]
    refused("ambiguous", anthropic, *text("Par", "Paris"))
    thinks = [{"type": "thinking_delta", "thinking": part} for part in ("Let", " me")]
    signed = [{"type": "signature_delta", "signature": "s"}]
    blank = {"type": "thinking", "thinking": "", "signature": ""}
    whole = {"type": "thinking", "thinking": "Let me", "signature": "s"}
    assert anthropic(*thinks, *signed, block=blank)["content"] == [whole]
    assert anthropic(*thinks, *signed, *signed, block=blank)["content"] == [whole]
    refused("ambiguous", anthropic, *signed, {"type": "signature_delta", "signature": "t"}, block=blank)
    refused("unknown", anthropic, {"type": "sound_delta", "data": "x"})
    refused("incomplete", anthropic, *thinks)


def test_anthropic_tool_input():
    block = {"type": "tool_use", "id": "t", "name": "power", "input": {}}
    parts = [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"n"', ": 2}")]
    assert anthropic(*parts, block=block)["content"] == [{**block, "input": {"n": 2}}]
    refused("ambiguous", anthropic, *parts, *parts, block=block)
    refused("ambiguous", anthropic, *parts, block={**block, "input": {"n": 3}})


def test_anthropic_ends():
    twice = END, {**END, "usage": {"input_tokens": 9, "output_tokens": 13}}, STOP
    found = anthropic(*text("a"), end=twice)
    assert (found["stop_reason"], found["usage"]) == ("end_turn", {"input_tokens": 9, "output_tokens": 13})
    nothing = {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 12}}
    assert anthropic(*text("a"), end=(END, nothing, STOP))["stop_reason"] == "end_turn"
    assert anthropic(*text("a"), end=(END,)) == anthropic(*text("a"))
    refused("incomplete", anthropic, *text("a"), end=(nothing,))
    refused("ambiguous", anthropic, end=(END, {**END, "delta": {"stop_reason": "max_tokens"}}, STOP))
    refused("ambiguous", anthropic, end=(END, {**END, "usage": {"output_tokens": 3}}, STOP))
    assert anthropic(*text("a"), end=({"type": "heartbeat"}, END, STOP)) == anthropic(*text("a"))
    refused("unknown", anthropic, end=({"type": "progress", "step": 1}, END, STOP))
    edits = {"applied_edits": []}
    found = anthropic(*text("a"), end=({**END, "context_management": edits}, STOP))
    assert found["context_management"] == edits
    refused("unknown", anthropic, end=({**END, "novelty": 1}, STOP))


# ------------------------------------------------------------------------------ OpenAI responses


def responses(*events, numbered=True):
    order = [{**event, "sequence_number": n} if numbered else event for n, event in enumerate(events)]
    return RESPONSES.read_stream([as_event(event, event["type"]) for event in order])


PART = {"type": "output_text", "text": "Paris", "annotations": []}
ANSWER = {"id": "r", "status": "completed", "output": [{"type": "message", "content": [PART]}], "usage": USAGE}
PIECE = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Paris"}
COMPLETED = {"type": "response.completed", "response": ANSWER}


def test_responses():
    assert responses({"type": "response.new_thing"}, PIECE, COMPLETED) == ANSWER
    without = {**COMPLETED, "response": {**ANSWER, "usage": None}}
    assert responses(PIECE, without, COMPLETED) == responses(PIECE, COMPLETED, COMPLETED) == ANSWER
    refused("ambiguous", responses, PIECE, COMPLETED, {**COMPLETED, "response": {**ANSWER, "id": "s"}})
    refused("ambiguous", responses, PIECE, {**COMPLETED, "response": {**ANSWER, "output": []}})
    refused("ambiguous", responses, PIECE, PIECE, COMPLETED)
    refused("incomplete", responses, PIECE)
    ended = {**ANSWER, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    refused("truncated", responses, {"type": "response.incomplete", "response": ended})
    refused("no-answer", responses, {"type": "error", "message": "no"})


# ------------------------------------------------------------------------------ Ollama


def ollama(*lines, known=OLLAMA):
    return known.read_stream([as_line({"model": "m", "created_at": str(n), **line}) for n, line in enumerate(lines)])


def say(content="", **more):
    return {"message": {"role": "assistant", "content": content, **more}, "done": False}


LAST = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}


def test_ollama_chat():
    logs = [{"logprobs": [{"token": part}]} for part in ("Par", "is")]
    found = ollama({**say("Par", thinking="Let"), **logs[0]}, {**say("is", thinking=" me"), **logs[1]}, LAST)
    assert found["message"] == {"role": "assistant", "content": "Paris", "thinking": "Let me"}
    assert (found["logprobs"], found["created_at"]) == ([{"token": "Par"}, {"token": "is"}], "2")
    calls = [{"function": {"name": name, "arguments": {}}} for name in "ab"]
    found = ollama(*(say(tool_calls=[call]) for call in calls), LAST)
    assert found["message"]["tool_calls"] == calls
    refused("ambiguous", ollama, say(tool_calls=calls[:1]), say(tool_calls=calls), LAST)
    refused("ambiguous", ollama, say("Par"), say("Paris"), LAST)
    refused("ambiguous", ollama, say("a", mood="x"), say("b", mood="y"), LAST)


def test_ollama_ends():
    assert ollama(say("a"), LAST, {**LAST, "total_duration": 5})["total_duration"] == 5
    refused("incomplete", ollama, say("a"), LAST, say("b"))
    refused("ambiguous", ollama, say("a"), LAST, {**LAST, "eval_count": 3})
    refused("incomplete", ollama, say("a"))
    refused("no-answer", ollama, say("a"), {"error": "no"})
    refused("ambiguous", ollama, {"response": "Par"}, {"response": "is"}, {"response": "Paris", "done": True},
            known=GENERATE)  # fmt: skip


def test_what_is_put_together_is_plain_json():
    found = chat(SAID)
    assert json.loads(json.dumps(found)) == found


# ------------------------------------------------------------------------------ whatever the manner of the server


WORDS = st.text("ab {}1\n", max_size=6)


@st.composite
def cut(draw, whole):
    """Draw pieces that give a text."""
    places = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=3)))
    return [whole[i:j] for i, j in zip([0, *places], [*places, len(whole)], strict=True)]


@st.composite
def streams(draw):
    """Draw an answer, and a stream that says it in the manner of some server."""
    manner = {name: draw(st.booleans()) for name in ("repeats", "parts", "indexes", "twice", "done", "usage")}
    content, reasoning = draw(WORDS), draw(WORDS)
    deltas = [{"reasoning_content": part} for part in draw(cut(reasoning))]
    deltas += [{"content": part} for part in draw(cut(content))]
    calls = []
    for number in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(["power", "look_up", "gogo", "a"])) + str(number)
        arguments = json.dumps({"n": draw(WORDS)})
        place = {"id": f"c{number}", "type": "function"}
        index = {"index": number} if manner["indexes"] else {}
        calls.append({**place, "function": {"name": name, "arguments": arguments}})
        names = [name[:2], name[2:]] if manner["parts"] and len(name) > 2 else [name]
        deltas += [{"tool_calls": [{**place, **index, "function": {"name": part}}]} for part in names]
        again = {"name": name} if manner["repeats"] and names == [name] else {}
        for part in draw(cut(arguments)):
            told = place if manner["repeats"] or not manner["indexes"] else {}
            deltas.append({"tool_calls": [{**told, **index, "function": {**again, "arguments": part}}]})
    finish = "tool_calls" if calls else "stop"
    blocks = [chunk({**({"role": "assistant"} if manner["repeats"] else {}), **delta}) for delta in deltas]
    blocks += [chunk({}, finish)] * (1 + manner["twice"]) + [usage()] * (1 + manner["usage"]) + [DONE] * manner["done"]
    return {"reasoning_content": reasoning, "content": content, "calls": calls, "finish": finish}, blocks


@given(streams())
@settings(max_examples=80, deadline=None)
def test_an_answer_is_put_together_as_it_was_or_refused(drawn):
    answer, blocks = drawn
    found = CHAT.collect(blocks)
    if found is None:
        return
    told = found["choices"][0]
    assert (told["finish_reason"], found["usage"]) == (answer["finish"], USAGE)
    assert told["message"].get("tool_calls", []) == answer["calls"]
    for field in ("content", "reasoning_content"):
        assert (told["message"].get(field) or "") == answer[field]
    assert CHAT.collect(CHAT.split(found, asked(stream_options={"include_usage": True}))) == found
