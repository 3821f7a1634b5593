"""A provider on the loopback interface: speaks the wire formats as they do, streams included.

The events are written out here by hand, after recordings and API references, and share no code with the package.
"""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider(ThreadingHTTPServer):
    """Answers what it is told to.

    Attributes:
        seen: (path, headers, body) of each request.
        answer: the words of the next answers; "{n}" in them is the number of the request.
        finish: why answers end, in the provider's own word; None is the usual one.
        tool: (name, arguments) of a tool call that answers make.
        script: OpenAI chat: a function that returns words and tool of the answer to a body, in place of these two.
        fail: list of statuses: the next requests get these, one each.
        cut: number of events after which a stream breaks off.
        gate: an event that streams wait for before their third piece; plain answers before they are told.
        linger: seconds for which a stream stays open after its last event.
        raw: bytes told in place of any answer.
        arrived: set when a request arrives.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen = []
        self.answer = "Paris is the capital ({n})."
        self.thinking = None
        self.finish = None
        self.tool = None
        self.script = None
        self.fail = []
        self.cut = None
        self.gate = None
        self.linger = 0
        self.raw = None
        self.lock = threading.Lock()
        self.arrived = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def calls(self):
        return len(self.seen)

    def handle_error(self, request, client_address):
        pass  # a client that goes away is what some tests are about


@contextmanager
def provider():
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if server.gate is not None:
            server.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(data)
        except ValueError:
            body = data
        with server.lock:
            server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            number = len(server.seen)
            server.arrived.set()
            status = server.fail.pop(0) if server.fail else 200
        if status != 200:
            self.plain(status, {"type": "error", "error": {"type": "server_error", "message": "no luck"}}, number)
            return
        if server.raw is not None:
            self.whole(server.raw, "text/event-stream" if body.get("stream") else "application/json", number)
            return
        kind = ROUTES[self.path.partition("?")[0]]
        made = kind(server, body, number)
        if isinstance(made, list):
            self.stream(made, "application/x-ndjson" if self.path.startswith("/api") else "text/event-stream", number)
        else:
            if server.gate is not None:
                server.gate.wait(20)
            self.plain(200, made, number)

    def plain(self, status, body, number):
        # Spaces and the order of names are the provider's: a replay must keep them.
        self.whole(json.dumps(body, indent=1).encode(), "application/json", number, status)

    def whole(self, data, kind, number, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Request-Id", f"req-{number}")
        self.send_header("Request-Id", f"req-{number}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events, kind, number):
        server = self.server
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("X-Request-Id", f"req-{number}")
        self.send_header("Request-Id", f"req-{number}")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place, event in enumerate(events):
            if server.cut is not None and place >= server.cut:
                self.wfile.flush()
                self.connection.close()
                self.close_connection = True
                return
            if server.gate is not None and place == 2:
                self.wfile.flush()
                server.gate.wait(20)
            data = event.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if server.linger:
            self.wfile.flush()
            time.sleep(server.linger)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args):
        pass


def sse(data, event=None):
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {event}\n" if event else "") + f"data: {text}\n\n"


def pieces(text):
    return [text[i : i + 5] for i in range(0, len(text), 5)]


def openai_chat(server, body, number):
    script = getattr(server, "script", None)  # some tests have a server of their own, without one
    text, tool = script(body) if script else (server.answer.format(n=number), server.tool)
    name = f"chatcmpl-{number}"
    base = {"id": name, "created": 1_700_000_000 + number, "model": body["model"], "system_fingerprint": "fp_1"}
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    finish = server.finish or ("tool_calls" if tool else "stop")
    call = None
    if tool:
        function = {"name": tool[0], "arguments": json.dumps(tool[1])}
        call = {"id": f"call_{number}", "type": "function", "function": function}
    if not body.get("stream"):
        message = {"role": "assistant", "content": None if call else text, "refusal": None, "annotations": []}
        if server.thinking:
            message["reasoning_content"] = server.thinking
        if call:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
    told = {"include_usage": False, **(body.get("stream_options") or {})}["include_usage"]
    extra = {"usage": None} if told else {}
    out = []

    def chunk(delta, end=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        out.append(sse({**base, "object": "chat.completion.chunk", "choices": [choice], **extra}))

    chunk({"role": "assistant", "content": "" if not call else None, "refusal": None})
    for piece in pieces(server.thinking or ""):
        chunk({"reasoning_content": piece})
    if call:
        chunk({"tool_calls": [{"index": 0, **call, "function": {"name": tool[0], "arguments": ""}}]})
        for piece in pieces(call["function"]["arguments"]):
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    else:
        for piece in pieces(text):
            chunk({"content": piece})
    chunk({}, finish)
    if told:
        out.append(sse({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    out.append("data: [DONE]\n\n")
    return out


def openai_responses(server, body, number):
    text = server.answer.format(n=number)
    item = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    output = [{**item, "content": [part]}]
    if server.tool:
        arguments = json.dumps(server.tool[1])
        call = {"id": f"fc_{number}", "type": "function_call", "status": "completed", "call_id": f"call_{number}"}
        output = [{**call, "name": server.tool[0], "arguments": arguments}]
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 21,
    }
    status = server.finish or "completed"
    whole = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000 + number,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }
    if not body.get("stream"):
        return whole
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    at = {"item_id": f"msg_{number}", "output_index": 0, "content_index": 0}
    out = []

    def event(kind, **fields):
        out.append(sse({"type": kind, "sequence_number": len(out), **fields}, kind))

    event("response.created", response=begun)
    event("response.in_progress", response=begun)
    if server.tool:
        call = output[0]
        event("response.output_item.added", output_index=0, item={**call, "arguments": "", "status": "in_progress"})
        for piece in pieces(call["arguments"]):
            place = {"item_id": call["id"], "output_index": 0}
            event("response.function_call_arguments.delta", **place, delta=piece)
        done = {"item_id": call["id"], "output_index": 0, "name": call["name"], "arguments": call["arguments"]}
        event("response.function_call_arguments.done", **done)
        event("response.output_item.done", output_index=0, item=call)
    else:
        event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
        event("response.content_part.added", **at, part={**part, "text": ""})
        for piece in pieces(text):
            event("response.output_text.delta", **at, delta=piece, logprobs=[])
        event("response.output_text.done", **at, text=text, logprobs=[])
        event("response.content_part.done", **at, part=part)
        event("response.output_item.done", output_index=0, item=output[0])
    event(f"response.{status}", response=whole)
    return out


def openai_embeddings(server, body, number):
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": i, "embedding": [0.1, 0.2, number]} for i, _ in enumerate(inputs)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def anthropic(server, body, number):
    text = server.answer.format(n=number)
    content = []
    if server.thinking:
        content.append({"type": "thinking", "thinking": server.thinking, "signature": "c2ln"})
    if server.tool:
        content.append({"type": "tool_use", "id": f"toolu_{number}", "name": server.tool[0], "input": server.tool[1]})
    else:
        content.append({"type": "text", "text": text})
    reason = server.finish or ("tool_use" if server.tool else "end_turn")
    usage = {"input_tokens": 9, "output_tokens": 12, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    whole = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }
    if not body.get("stream"):
        return whole
    out = []

    def event(kind, **fields):
        out.append(sse({"type": kind, **fields}, kind))

    begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    event("message_start", message=begun)
    event("ping")
    for index, block in enumerate(content):
        if block["type"] == "text":
            event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for piece in pieces(text):
                event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        elif block["type"] == "thinking":
            blank = {"type": "thinking", "thinking": "", "signature": ""}
            event("content_block_start", index=index, content_block=blank)
            for piece in pieces(block["thinking"]):
                event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": piece})
            event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": "c2ln"})
        else:
            event("content_block_start", index=index, content_block={**block, "input": {}})
            for piece in pieces(json.dumps(block["input"])):
                event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
        event("content_block_stop", index=index)
    event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 12})
    event("message_stop")
    return out


def _ollama(server, body, number, tell):
    text = server.answer.format(n=number)
    base = {"model": body["model"], "created_at": f"2026-01-01T00:00:{number:02d}Z"}
    last = {
        "done": True,
        "done_reason": server.finish or "stop",
        "total_duration": 100 + number,
        "load_duration": 1,
        "prompt_eval_count": 9,
        "prompt_eval_duration": 2,
        "eval_count": 12,
        "eval_duration": 3,
    }
    if body.get("stream") is False:
        return {**base, **tell(text), **last}
    lines = [{**base, **tell(piece), "done": False} for piece in pieces(text)]
    return [json.dumps(line) + "\n" for line in [*lines, {**base, **tell(""), **last}]]


def ollama_chat(server, body, number):
    return _ollama(server, body, number, lambda text: {"message": {"role": "assistant", "content": text}})


def ollama_generate(server, body, number):
    return _ollama(server, body, number, lambda text: {"response": text})


def ollama_embed(server, body, number):
    return {"model": body["model"], "embeddings": [[0.1, 0.2, number]], "prompt_eval_count": 3}


ROUTES = {
    "/v1/chat/completions": openai_chat,
    "/v1/responses": openai_responses,
    "/v1/embeddings": openai_embeddings,
    "/v1/messages": anthropic,
    "/api/chat": ollama_chat,
    "/api/generate": ollama_generate,
    "/api/embed": ollama_embed,
}
