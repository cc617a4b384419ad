"""An AWS that answers at once and keeps nothing: a process of its own, on loopback.

It speaks just enough of the protocols of DynamoDB, SQS, SNS, S3 and Scheduler for their clients to
take its answers for success: every write succeeds, every read finds nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

_REGION = "us-east-1"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_XML = '<{0}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{0}Result>{1}</{0}Result>'
_XML_END = "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{0}Response>"


class _Connection(asyncio.Protocol):
    """One connection, its requests answered one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, body_at = self._received[:end], end + 4
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(self._received) < body_at + length:
                if _CONTINUE.search(head) and len(self._received) == body_at:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = self._received[body_at : body_at + length]
            self._received = self._received[body_at + length :]
            kind, answer = _answer(head, body)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
                % (kind, len(answer), answer)
            )


def _answer(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The content type and the body that answer a request."""
    target = _TARGET.search(head)
    if target:
        return b"application/x-amz-json-1.0", _of_json(target[1].decode())
    if body.startswith(b"Action=") or b"&Action=" in body:
        return b"text/xml", _of_query(parse_qs(body.decode())).encode()
    if b" /schedules/" in head.split(b"\r\n", 1)[0]:
        return b"application/json", b'{"ScheduleArn":"arn:aws:scheduler:::schedule/s"}'
    return b"application/xml", b""


def _of_json(operation: str) -> bytes:
    answers = {
        "Query": {"Items": [], "Count": 0},
        "BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}},
        "BatchWriteItem": {"UnprocessedItems": {}},
        "SendMessage": {"MessageId": "0", "MD5OfMessageBody": "0"},
    }
    return json.dumps(answers.get(operation, {})).encode()


def _of_query(fields: dict[str, list[str]]) -> str:
    action = fields["Action"][0]
    result = "<MessageId>0</MessageId>"
    if action == "PublishBatch":
        ids = [value[0] for name, value in fields.items() if name.endswith(".Id")]
        members = "".join(f"<member><Id>{i}</Id><MessageId>{i}</MessageId></member>" for i in ids)
        result = f"<Successful>{members}</Successful><Failed/>"
    return _XML.format(action, result) + _XML_END.format(action)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # Whoever started it holds its standard input open, and ends it by going away.
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def aws_stub() -> Iterator[dict[str, str]]:
    """A running stub: the environment variables that lead AWS clients to it."""
    command = [sys.executable, "-m", "bench.aws_stub"]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        try:
            port = int(process.stdout.readline())
            yield {**FAKE_ACCOUNT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        finally:
            process.stdin.close()
            process.wait(10)


# What a Lambda's environment has, too, so that nothing is looked for elsewhere.
FAKE_ACCOUNT = {
    "AWS_DEFAULT_REGION": _REGION,
    "AWS_ACCESS_KEY_ID": "stub",
    "AWS_SECRET_ACCESS_KEY": "stub",
    "AWS_EC2_METADATA_DISABLED": "true",
}


if __name__ == "__main__":
    asyncio.run(_serve())
