"""A server on loopback that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tidegate.ids import Seed

DROP = "close the connection without an answer"
HANG = "never answer"


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]

    @property
    def events(self) -> list[dict[str, Any]]:
        return json.loads(self.body)

    @property
    def seed(self) -> str:
        return self.headers["x-inngest-event-id-seed"]

    @property
    def ids(self) -> list[str]:
        """The ids that a Tidegate server gives the events."""
        seed = Seed.parse(self.seed)
        assert seed is not None
        return [seed.ulid(number) for number in range(1, len(self.events) + 1)]


@dataclass
class RecordingServer:
    """Answers with what `script` holds, in that order; then as a Tidegate server that accepts all.

    An item of the script is DROP, HANG, or (status, body, headers); a body that is no bytes becomes
    JSON; `None` as the whole item accepts.
    """

    asked: list[Asked] = field(default_factory=list)
    script: deque[Any] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def will(self, *items: Any) -> None:
        self.script.extend(items)

    def stop(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def heard(self, count: int) -> bool:
        """Whether that many requests come; the last may come when its sender has given up."""
        end = time.monotonic() + 30
        while len(self.asked) < count and time.monotonic() < end:
            self._released.wait(0.01)
        return len(self.asked) == count

    def answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]] | None:
        self.asked.append(asked)
        item = self.script.popleft() if self.script else None
        if item == HANG:
            self._released.wait()
        if item in (DROP, HANG):
            return None
        if item is None:
            return 200, {"ids": asked.ids, "status": 200}, {}
        status, body, *headers = item
        return status, body, headers[0] if headers else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(server: RecordingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer takes 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(Asked(self.path, headers, body, self.client_address))
            if answer is None:
                self.close_connection = True
                return
            status, reply, extra = answer
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class SkippingClock:
    """A clock that does not wait: it notes every pause and moves on."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.ms = now_ms
        self.pauses: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.ms += int(seconds * 1000)

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)
