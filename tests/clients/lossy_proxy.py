"""A proxy that delivers each request, and loses the first answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

SEED = "x-inngest-event-id-seed"

Loss = Literal["500", "dropped"]


@dataclass
class LossyProxy:
    """What went through it.

    Attributes:
        url: where it listens.
        seeds: the seed of each request that it delivered, in order.
        answers: the statuses that the server gave.
    """

    url: str
    seeds: list[str | None] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def lossy_proxy(target: str, losses: Sequence[Loss]) -> Iterator[LossyProxy]:
    """A proxy in front of `target`, on loopback.

    Args:
        target: the base URL of the server.
        losses: what the client gets instead of the first answers: a 500, or no answer at all.
    """
    left = list(losses)
    through = LossyProxy(url="")
    http = httpx.Client(base_url=target)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {n: v for n, v in self.headers.items() if n.lower() != "host"}
            answer = http.post(self.path, content=body, headers=headers)
            through.seeds.append(self.headers[SEED])
            through.answers.append(answer.status_code)
            loss = left.pop(0) if left else None
            if loss == "dropped":
                self.close_connection = True
            elif loss == "500":
                self._answer(500, b'{"message": "Internal Server Error"}')
            else:
                self._answer(answer.status_code, answer.content)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        through.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield through
        server.shutdown()
        thread.join()
