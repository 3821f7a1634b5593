"""A proxy on the loopback interface, in a thread of this process, in front of a provider."""

import contextlib
import socket
import threading
import time

import uvicorn

from semantic_llm_cache.server.application import create_app
from semantic_llm_cache.server.running import uvicorn_options
from semantic_llm_cache.server.settings import Settings


class Running:
    """A proxy that runs.

    Attributes:
        app: the `Server`.
        url: where it listens.
        port: its port.
    """

    def __init__(self, app, port, server):
        self.app = app
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.server = server


@contextlib.contextmanager
def proxy(upstream, **settings):
    """Run a proxy in front of `upstream`, in memory if no other cache is given."""
    made = Settings(**{"upstream": upstream, "url": "memory://", "log_level": "warning", **settings})
    app = create_app(made)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(uvicorn.Config(app, **{**uvicorn_options(made), "log_config": None}))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield Running(app, listening.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
        assert not thread.is_alive()


def exchange(port, data, seconds=5.0):
    """Send bytes over a connection of their own; return all that comes back until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(1 << 16):
                found += part
        return found
