"""`tidegate keys`, where the stage cannot be found. What it does with one is in tests/infra."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.commands.conftest import Commands


class CloudFormation:
    """One that refuses to tell of stacks."""

    def __init__(self, code: str) -> None:
        self.meta = type("Meta", (), {"region_name": "eu-central-1"})
        self._code = code

    def describe_stacks(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ValidationError", "there is no stack Tidegate-trial or trial"),
        ("AccessDenied", "(AccessDenied)"),
        ("ExpiredToken", "(ExpiredToken)"),
    ],
)
def test_what_is_not_there_is_told_apart_from_what_may_not_be_asked(
    offline: Commands, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setattr("boto3.client", lambda *_, **__: CloudFormation(code))
    ran = offline("keys", "list", "--stage", "trial")
    assert (ran.code, ran.out) == (1, "")
    [line] = ran.err.splitlines()
    assert said in line
    assert ("is not deployed" in line) == (code == "ValidationError")
