"""What cdk-nag's AWS Solutions pack finds in the stacks, and why each of that stays as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.infra.conftest import Guarded

ROLES = r"(Ingest|RestApi|Waits/Matcher|(Functions\d+/)?Function-[\w.-]+/Worker)/Role/Resource"

# By rule and construct, both as regular expressions.
ACCEPTED = {
    (r"AwsSolutions-S1", r"Storage/Payloads/Resource"): (
        "Server access logs would need a second bucket, and a charge for each payload. Only the "
        "stage's own roles reach the bucket; who wants every access on record turns on the data "
        "events of CloudTrail for it."
    ),
    (r"AwsSolutions-APIG4", r"Http/(Api|Dashboard|Ingest|Page)Route/Resource"): (
        "The handlers check event keys and signing keys themselves: event keys come in the path, "
        "where no authorizer of an HTTP API looks, and an authorizer's refusal has a body that "
        "clients cannot read. Of the dashboard only the page itself is open."
    ),
    (r"AwsSolutions-IAM5\[Resource::<\w*StoragePayloads\w+\.?Arn>/\*\]", ROLES): (
        "The objects of the stage's own bucket: their names are made while it runs."
    ),
    (
        r"AwsSolutions-IAM5\[Resource::arn:.*:schedule/<?\w*SchedulesGroup\w*>?/\*\]",
        r"(Waits/Matcher|(Functions\d+/)?Function-[\w.-]+/Worker)/Role/Resource",
    ): "The schedules of the stage's own group: their names are made while it runs.",
}
# Only where a stage turns tracing on.
TRACED = {
    (r"AwsSolutions-IAM5\[Resource::\*\]", ROLES): (
        "X-Ray's PutTraceSegments and PutTelemetryRecords have no resource that could be named."
    ),
}


def reasons(stage: str) -> dict[tuple[str, str], str]:
    return ACCEPTED | (TRACED if stage == "Tidegate-production" else {})


@pytest.mark.parametrize("stage", ["Tidegate-dev", "Tidegate-production"])
def test_nothing_is_found_that_is_not_explained(guarded: Guarded, stage: str) -> None:
    unexplained = [
        f"{rule} at {path}"
        for rule, path in sorted(guarded.found[stage])
        if not any(
            re.fullmatch(known, rule) and re.fullmatch(at, path) for known, at in reasons(stage)
        )
    ]
    assert not unexplained


@pytest.mark.parametrize("stage", ["Tidegate-dev", "Tidegate-production"])
def test_nothing_is_explained_that_is_not_found(guarded: Guarded, stage: str) -> None:
    for known, at in reasons(stage):
        assert any(
            re.fullmatch(known, rule) and re.fullmatch(at, path)
            for rule, path in guarded.found[stage]
        ), known


def test_both_stacks_of_functions_were_looked_at(guarded: Guarded) -> None:
    paths = {path for _, path in guarded.found["Tidegate-production"]}
    assert any(path.startswith("Functions4/") for path in paths)
    assert any(path.startswith("Function-") for path in paths)
