"""Dead letters from the command line, against the dev server and a deployment alike."""

from __future__ import annotations

import time

import pytest

from tests.commands.conftest import Commands, Ran, Server
from tests.commands.test_server import eventually
from tidegate.aws import client
from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import random_ulid
from tidegate.local.wiring import queue_name
from tidegate.message import EventMessage

GREET = "shop-greet"
NAMED = "name the messages, as `tidegate dead-letters show` has them, or say --all; not both"


def bury(server: Server, *texts: str) -> None:
    """Put messages into the dead-letter queue of a function."""
    url = client("sqs").get_queue_url(QueueName=f"{queue_name(GREET)}-dead")["QueueUrl"]
    for text in texts:
        client("sqs").send_message(QueueUrl=url, MessageBody=text)
    catch_up(server)


def catch_up(server: Server) -> None:
    """Let a clock of the tests' own pass the machine's, which SQS has here.

    A job is about what was sent before it was asked for.
    """
    behind_ms = time.time_ns() // 1_000_000 - server.run.clock.now_ms()
    server.run.clock.sleep(max(behind_ms, 0) / 1000 + 0.002)


def test_no_dead_letters_are_none(server: Server) -> None:
    assert server.run("dead-letters") == Ran(0, "", "none\n")
    assert server.run("dead-letters", "show", GREET) == Ran(0, "", "none\n")
    found = server.run("dead-letters", "--json").json
    assert {one["function_id"] for one in found} >= {GREET, "matcher"}


def hello(server: Server, name: str) -> str:
    """The message of an event that was never handled."""
    ms = server.run.clock.now_ms()
    event_id = random_ulid(ms)
    body = event_body(name="app/hello", data={"name": name}, event_id=event_id, ts=ms)
    return EventMessage.of(AcceptedEvent(event_id, "dev", "app/hello", ms, ms, body)).encode()


def test_they_are_listed_shown_and_put_back(server: Server) -> None:
    catch_up(server)
    bury(server, hello(server, "Ada"), hello(server, "Grace"))
    head, row = server.run("dead-letters").lines
    assert (head.split(), row.split()) == (["FUNCTION", "MESSAGES"], [GREET, "2"])
    shown = server.run("dead-letters", "show", GREET)
    assert shown.lines[0].split() == ["MESSAGE", "SENT", "EVENT", "RUN", "STATUS", "REASON"]
    letters = server.run("dead-letters", "show", GREET, "--json").json["dead_letters"]
    assert [letter["event_name"] for letter in letters] == ["app/hello"] * 2
    assert shown.lines[1].split()[0] in {letter["id"] for letter in letters}
    ran = server.run("dead-letters", "redrive", GREET, letters[0]["id"])
    assert (ran.code, ran.err) == (0, "")
    assert "Completed: 1 of 1 dead letters put back" in ran.out
    job_id = ran.out.split()[0]
    [listed] = server.run("jobs", "--json").json
    assert (listed["id"], listed["kind"]) == (job_id, "redrive")
    assert "Completed" in server.run("jobs", "show", job_id).out
    eventually(server.run.clock, lambda: server.run("runs", "--function", GREET, "--json").json)


def test_they_are_deleted(server: Server) -> None:
    bury(server, "damaged", "damaged, too")
    ran = server.run("dead-letters", "delete", GREET, "--all")
    assert "Completed: 2 of 2 dead letters deleted" in ran.out
    assert server.run("dead-letters") == Ran(0, "", "none\n")


def test_one_that_is_gone_is_told(server: Server) -> None:
    ran = server.run("dead-letters", "redrive", GREET, "no-such-message")
    assert "0 of 1 dead letters put back, 1 skipped (1 of the messages are not in" in ran.out


def test_a_rate_of_none_is_refused(server: Server) -> None:
    bury(server, "damaged")
    ran = server.run("dead-letters", "redrive", GREET, "--all", "--rate", "0")
    assert ran.code != 0
    assert "per_second" in ran.error
    assert server.run("dead-letters").lines[1].split() == [GREET, "1"]


@pytest.mark.parametrize("arguments", [(), ("m-1", "--all")])
@pytest.mark.parametrize("command", ["redrive", "delete"])
def test_which_ones_must_be_said(
    offline: Commands, command: str, arguments: tuple[str, ...]
) -> None:
    ran = offline("dead-letters", command, GREET, *arguments)
    assert (ran.code, ran.error) == (2, NAMED)


def test_an_unknown_function_is_told(server: Server) -> None:
    ran = server.run("dead-letters", "show", "shop-nope")
    assert ran.code == 3
    assert "Function not found: shop-nope; see GET /v1/dead_letter_queues" in ran.error


def test_doctor_tells_of_them(server: Server) -> None:
    bury(server, "damaged")
    ran = server.run("doctor")
    assert ran.code == 1
    assert f"messages were given up on: {GREET} 1" in ran.out
    assert "tidegate dead-letters redrive FUNCTION --all" in ran.out
