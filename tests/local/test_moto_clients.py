"""Clients of stages in memory: the next one has them, but nothing that was left on them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.exceptions import JsonRESTError
from moto.scheduler.models import EventBridgeSchedulerBackend

from tidegate.aws import client, forget_clients
from tidegate.local.moto_clients import moto_clients

SERVICES: tuple[Any, ...] = ("dynamodb", "scheduler", "sns")


def clients() -> dict[str, Any]:
    return {service: client(service) for service in SERVICES}


@pytest.fixture(autouse=True)
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


def test_the_next_stage_has_the_same_clients() -> None:
    with moto_clients(SERVICES):
        first = clients()
    with moto_clients(SERVICES):
        assert clients() == first


def test_between_stages_there_are_none_of_them() -> None:
    with moto_clients(SERVICES):
        first = clients()
    assert client("sns") is not first["sns"]
    forget_clients()
    with moto_clients(SERVICES):
        assert clients() == first


def test_a_service_that_moto_is_not_to_have_gets_a_new_client() -> None:
    with moto_clients(SERVICES):
        first = clients()
    with moto_clients(["scheduler", "sns"]):
        assert client("dynamodb") is not first["dynamodb"]
        assert client("sns") is first["sns"]
    with moto_clients(SERVICES):
        assert clients() == first


@pytest.mark.parametrize("how", ["register", "register_first", "register_last"])
def test_who_listened_to_a_client_hears_nothing_of_the_next_stage(how: str) -> None:
    heard: list[Any] = []

    def hear(**call: Any) -> None:
        heard.append(call)

    with moto_clients(SERVICES):
        first = clients()
        getattr(client("sns").meta.events, how)("before-call", hear)
        client("sns").list_topics()
        assert len(heard) == 1
    with moto_clients(SERVICES):
        client("sns").list_topics()
        assert len(heard) == 1
        assert client("sns") is not first["sns"]
        assert client("scheduler") is first["scheduler"]


class InternalError(JsonRESTError):
    """What a service answers that fails."""

    code = 500


def fail(*_: Any, **__: Any) -> None:
    raise InternalError("InternalServerException", "it failed")


def test_a_client_that_had_to_try_again_is_not_given_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    with monkeypatch.context() as broken, moto_clients(SERVICES):
        first = clients()
        broken.setattr(EventBridgeSchedulerBackend, "list_schedules", fail)
        with pytest.raises(ClientError):
            client("scheduler").list_schedules()
    assert len(pauses) == 2
    with moto_clients(SERVICES):
        assert client("scheduler") is not first["scheduler"]
        assert client("dynamodb") is first["dynamodb"]


def test_a_call_that_is_refused_costs_no_client() -> None:
    with moto_clients(SERVICES):
        first = clients()
        with pytest.raises(ClientError):
            client("dynamodb").describe_table(TableName="none")
    with moto_clients(SERVICES):
        assert clients() == first
