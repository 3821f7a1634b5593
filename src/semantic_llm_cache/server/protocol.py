"""The HTTP/1.1 protocol of the server: uvicorn's on h11, with the limits that it lacks.

h11 refuses what is not HTTP: lengths that contradict each other, line ends and NUL in headers. A folded line becomes
one line, which is what counts and what is passed on. Here are limits of time: for the headers of a request, and for a
client that stops reading its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from semantic_llm_cache.server.proxy.refusals import error_body

__all__ = ["GuardedProtocol", "Waits"]


@dataclass(frozen=True)
class Waits:
    """How long a connection may wait, in seconds.

    Attributes:
        headers: for the headers of a request, from its first byte, or from the opening of the connection.
        reading: for a client to read anything of an answer that is held back for it.
    """

    headers: float
    reading: float


class GuardedProtocol(H11Protocol):
    """One connection.

    Args:
        waits: the limits of time.
        uvicorn: what uvicorn passes.
    """

    def __init__(self, *, waits: Waits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._waits = waits
        self._headers_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: headers must arrive in time, and small answers are sent at once."""
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does this only for sockets that were made with a protocol number, which uvicorn's are not.
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._headers_have_come()
        elif self._headers_timer is None and self.conn.trailing_data[0]:
            self._expect_headers()

    # ------------------------------------------------------------------------- headers

    def _expect_headers(self) -> None:
        self._headers_timer = self.loop.call_later(self._waits.headers, self._too_slow)

    def _headers_have_come(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _too_slow(self) -> None:
        self._headers_timer = None
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            seconds = self._waits.headers
            self._refuse(408, f"the headers of the request were not complete after {seconds:g} seconds")
        else:  # it never asked anything
            self.transport.close()

    # ------------------------------------------------------------------------- answers that nobody reads

    def pause_writing(self) -> None:
        """Hold the answer back: the client does not read as fast as it is sent."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None
        super().resume_writing()

    def _watch_reading(self) -> None:
        held = self.transport.get_write_buffer_size()
        self._reading_timer = self.loop.call_later(self._waits.reading, self._check_reading, held)

    def _check_reading(self, before: int) -> None:
        self._reading_timer = None
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._watch_reading()

    def _stop_timers(self) -> None:
        for timer in (self._headers_timer, self._reading_timer):
            if timer is not None:
                timer.cancel()
        self._headers_timer = self._reading_timer = None

    # ------------------------------------------------------------------------- refusing

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        most = self.config.h11_max_incomplete_event_size
        self._refuse(400, f"this is not valid HTTP/1.1, or its headers are larger than {most:,} bytes")

    def _refuse(self, status: int, message: str) -> None:
        body = error_body("", status, message)
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        try:
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        except h11.LocalProtocolError:  # an answer has begun already
            pass
        self.transport.close()
