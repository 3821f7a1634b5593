"""A provider that sends what it is told, byte for byte: well-formed or not."""

import contextlib
import socket
import threading

ANSWER = (
    b'{"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": '
    b'{"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}'
)


def response(body=ANSWER, *headers, status=b"200 OK"):
    """Return the bytes of a response."""
    framing = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), b"Connection: close")
    return b"\r\n".join([b"HTTP/1.1 " + status, *framing, *headers, b"", body])


class RawProvider:
    """Reads one request from each connection, and sends the reply.

    Attributes:
        url: where it listens.
        seen: the heads of the requests.
        reply: the bytes to send, or a function that returns them for the head of a request.
        gate: an event that each reply waits for.
    """

    def __init__(self, listening):
        self._listening = listening
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.seen = []
        self.reply = response()
        self.gate = threading.Event()
        self.gate.set()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb")
            lines = []
            while (line := stream.readline()) not in (b"\r\n", b""):
                lines.append(line.lower())
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            stream.read(length)
            head = b"".join(lines)
            self.seen.append(head)
            self.gate.wait(20)
            connection.sendall(self.reply(head) if callable(self.reply) else self.reply)


@contextlib.contextmanager
def raw_provider():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        running = RawProvider(listening)
        try:
            yield running
        finally:
            running.gate.set()
