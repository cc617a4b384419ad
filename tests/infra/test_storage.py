"""Where a stage keeps things: tables and bucket, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from template_resources import properties

from tidegate.manifest import TABLES

if TYPE_CHECKING:
    from aws_cdk.assertions import Template

    from tests.infra.conftest import Synthesis


@pytest.fixture(scope="module")
def dev(synthesis: Synthesis) -> Template:
    return synthesis.dev


def test_tables_are_those_of_the_manifest(dev: Template) -> None:
    found = properties(dev, "AWS::DynamoDB::Table")
    schemas = {
        name[:-8]: [key["AttributeName"] for key in table["KeySchema"]]
        for name, table in found.items()
    }
    assert schemas == {
        f"Storage{table.name.capitalize()}": [
            key for key in (table.partition_key, table.sort_key) if key
        ]
        for table in TABLES
    }
    for table in found.values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert {a["AttributeType"] for a in table["AttributeDefinitions"]} == {"S"}


def test_the_bucket_is_private_and_forgets(dev: Template) -> None:
    [bucket] = properties(dev, "AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {(r["Prefix"], r["ExpirationInDays"], r["Status"]) for r in rules} == {
        ("events/", 1 + 7, "Enabled"),
        ("outputs/", 1 + 7, "Enabled"),
        ("runs/", 7, "Enabled"),
        ("week/", 7 + 7, "Enabled"),
        ("month/", 31 + 7, "Enabled"),
        ("quarter/", 92 + 7, "Enabled"),
        ("year/", 366 + 7, "Enabled"),
        ("delayed/", 3650 + 7, "Enabled"),
        ("steps/", 366 + 7, "Enabled"),
    }


@pytest.mark.parametrize(
    "kind", ["AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"]
)
def test_nothing_is_reached_without_tls(dev: Template, kind: str) -> None:
    policies = properties(dev, kind)
    assert policies
    for policy in policies.values():
        assert any(
            statement["Effect"] == "Deny"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in policy["PolicyDocument"]["Statement"]
        )


def test_production_keeps_the_messages_of_queues_that_are_replaced_or_removed(
    synthesis: Synthesis,
) -> None:
    for template, deleted, replaced in (
        (synthesis.dev, "Delete", "Delete"),
        # Not those of a deployment that failed: they hold nothing.
        (synthesis.production, "RetainExceptOnCreate", "Retain"),
    ):
        queues = template.find_resources("AWS::SQS::Queue").values()
        assert {queue["DeletionPolicy"] for queue in queues} == {deleted}
        assert {queue["UpdateReplacePolicy"] for queue in queues} == {replaced}


def test_production_keeps_what_it_stores(synthesis: Synthesis) -> None:
    for template, policy, protected in (
        (synthesis.dev, "Delete", False),
        (synthesis.production, "Retain", True),
    ):
        tables = template.find_resources("AWS::DynamoDB::Table")
        stored = {**tables, **template.find_resources("AWS::S3::Bucket")}
        assert {r["DeletionPolicy"] for r in stored.values()} == {policy}
        assert {r["UpdateReplacePolicy"] for r in stored.values()} == {policy}
        for table in tables.values():
            assert table["Properties"]["DeletionProtectionEnabled"] is protected
