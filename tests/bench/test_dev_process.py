from __future__ import annotations

import httpx
import pytest

from bench import load_app
from bench.dev_process import dev_process
from bench.dev_server import end_ms, plain_http


def test_it_serves_and_ends() -> None:
    with dev_process("bench.load_app") as dev, httpx.Client(base_url=dev.url) as asking:
        [event_id] = plain_http(dev.url)(load_app.with_steps(1), 1)
        assert end_ms(asking, event_id) > 0
        assert dev.resident_bytes() > 50_000_000
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{dev.url}/health")


def test_what_it_printed_is_told_when_it_does_not_start() -> None:
    with pytest.raises(RuntimeError, match=r"bench\.nothing"), dev_process("bench.nothing"):
        pass
