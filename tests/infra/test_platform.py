"""`EventPlatform`: the construct that an app has, in a stack of its own choice."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from stages import ROOT, cdk_app

import tidegate_cdk
from tidegate import registry
from tidegate.errors import ConfigurationError
from tidegate_cdk.config import Config

WAREHOUSE = str(ROOT / "tests" / "infra" / "apps" / "warehouse.py")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An app in a folder of its own, in a process that knows of no functions."""
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "warehouse", raising=False)
    monkeypatch.chdir(tmp_path)
    yield cdk_app(tmp_path / "cdk.out")
    for name in ("warehouse", "my_app"):
        sys.modules.pop(name, None)


def synthesised(app: Any, stack: str) -> dict[str, Any]:
    folder = Path(app.synth().directory)
    template: dict[str, Any] = json.loads((folder / f"{stack}.template.json").read_text())
    return template


def test_it_makes_a_stage_in_whatever_stack_it_is_put(app: Any, tmp_path: Path) -> None:
    from aws_cdk import Stack

    stack = Stack(app, "Warehouse")
    tidegate_cdk.EventPlatform(stack, "Events", functions=WAREHOUSE, retention_days=9, tracing="on")
    template = synthesised(app, "Warehouse")
    functions = {
        resource["Properties"]["Environment"]["Variables"].get("TIDEGATE_FUNCTION")
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    placed = json.loads((tmp_path / "placement.json").read_text())
    assert functions == {None, *placed}
    assert len(placed) == 3
    assert set(template["Outputs"]) == {"Bucket", "FirstKey", "KeysTable", "Url"}
    # The stage is `dev`, and so may another stack's be.
    assert template["Outputs"]["FirstKey"]["Value"] == "tidegate keys create --stage Warehouse"
    assert all(name.startswith("Events") for name in template["Resources"])
    ingest = next(
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource.get("Properties", {}).get("Handler") == "tidegate.handlers.ingest.handler"
    )
    assert ingest["Environment"]["Variables"]["TIDEGATE_RETENTION_DAYS"] == "9"
    assert ingest["TracingConfig"] == {"Mode": "Active"}
    assert not stack.termination_protection


def test_a_topic_and_a_key_of_the_same_app_can_be_used(app: Any) -> None:
    from aws_cdk import Stack
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sns as sns

    stack = Stack(app, "Warehouse")
    topic, key = sns.Topic(stack, "OnCall"), kms.Key(stack, "Secret")
    tidegate_cdk.EventPlatform(
        stack,
        "Events",
        functions=WAREHOUSE,
        alarms_to=topic.topic_arn,
        encryption=key.key_arn,
    )
    template = synthesised(app, "Warehouse")
    names = {
        name: resource["Type"]
        for name, resource in template["Resources"].items()
        if not name.startswith("Events")
    }
    [on_call] = [name for name, kind in names.items() if kind == "AWS::SNS::Topic"]
    [secret] = [name for name, kind in names.items() if kind == "AWS::KMS::Key"]

    def properties(kind: str) -> list[dict[str, Any]]:
        return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]

    alarms = properties("AWS::CloudWatch::Alarm")
    assert alarms
    assert all(alarm["AlarmActions"] == [{"Ref": on_call}] for alarm in alarms)
    for table in properties("AWS::DynamoDB::Table"):
        assert table["SSESpecification"]["KMSMasterKeyId"] == {"Fn::GetAtt": [secret, "Arn"]}


def test_functions_get_what_the_app_gives_them_and_nothing_else_does(
    app: Any, tmp_path: Path
) -> None:
    from aws_cdk import Stack
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_secretsmanager as secretsmanager

    (tmp_path / "placement.json").write_text('{"warehouse-gone": 0}')
    stack = Stack(app, "Warehouse")
    access = iam.ManagedPolicy(stack, "FunctionAccess")
    secret = secretsmanager.Secret(stack, "PaymentKey")
    secret.grant_read(access)
    tidegate_cdk.EventPlatform(
        stack,
        "Events",
        functions=WAREHOUSE,
        environment={"PAYMENT_KEY_ARN": secret.secret_arn},
        policies=[access],
    )
    resources = synthesised(app, "Warehouse")["Resources"]
    [policy] = [k for k, one in resources.items() if one["Type"] == "AWS::IAM::ManagedPolicy"]
    [statement] = resources[policy]["Properties"]["PolicyDocument"]["Statement"]
    assert "secretsmanager:GetSecretValue" in statement["Action"]
    given: dict[str | None, bool] = {}
    for one in resources.values():
        if one["Type"] == "AWS::Lambda::Function":
            variables = one["Properties"]["Environment"]["Variables"]
            role = resources[one["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
            has = role.get("ManagedPolicyArns") == [{"Ref": policy}]
            assert has == (variables.get("PAYMENT_KEY_ARN") == statement["Resource"])
            assert has or "ManagedPolicyArns" not in role
            given[variables.get("TIDEGATE_FUNCTION")] = has
    assert [function for function, has in given.items() if not has] == [None, "warehouse-gone"]
    assert len(given) == 5


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"TIDEGATE_AUTH": "open"}, "TIDEGATE_AUTH is reserved"),
        ({"AWS_REGION": "x"}, "AWS_REGION is reserved"),
        ({"payment-key": "x"}, "'payment-key' is no name of a variable"),
        ({"": "x"}, "'' is no name of a variable"),
        ({"RATE": 3}, "the value of RATE is no text: 3"),
    ],
)
def test_a_variable_that_cannot_be_is_one_line(
    app: Any, environment: dict[str, Any], why: str
) -> None:
    from aws_cdk import Stack

    stack = Stack(app, "Warehouse")
    with pytest.raises(ConfigurationError, match=f"^environment: {why}"):
        tidegate_cdk.EventPlatform(stack, "E", functions=WAREHOUSE, environment=environment)


def test_a_role_takes_ten_policies(app: Any) -> None:
    from aws_cdk import Stack
    from aws_cdk import aws_iam as iam

    stack = Stack(app, "Warehouse")
    policies = [iam.ManagedPolicy.from_aws_managed_policy_name(f"P{n}") for n in range(11)]
    with pytest.raises(ConfigurationError, match=r"^policies: a role takes 10, there are 11"):
        tidegate_cdk.EventPlatform(stack, "E", functions=WAREHOUSE, policies=policies)


def test_the_command_line_wins_over_the_code(app: Any) -> None:
    from aws_cdk import Stack

    app.node.set_context("stage", "production")
    stack = Stack(app, f"Tidegate-{tidegate_cdk.chosen_stage(app)}")
    tidegate_cdk.EventPlatform(stack, "Events", functions=WAREHOUSE, stage="trial")
    template = synthesised(app, "Tidegate-production")
    assert stack.termination_protection
    assert template["Outputs"]["FirstKey"]["Value"] == "tidegate keys create --stage production"


def test_the_stage_is_dev_where_nobody_says_more(app: Any) -> None:
    assert tidegate_cdk.chosen_stage(app) == "dev"
    app.node.set_context("stage", "pro duction")
    with pytest.raises(ConfigurationError, match=r"context key stage \(-c stage=pro duction\)"):
        tidegate_cdk.chosen_stage(app)


def test_a_second_one_in_a_stack_is_an_error(app: Any) -> None:
    from aws_cdk import Stack

    stack = Stack(app, "Warehouse")
    tidegate_cdk.EventPlatform(stack, "Events", functions=WAREHOUSE)
    with pytest.raises(ConfigurationError, match="stack Warehouse has an EventPlatform already"):
        tidegate_cdk.EventPlatform(stack, "More", functions=WAREHOUSE)


def test_requirements_that_are_named_have_to_be_there(app: Any) -> None:
    from aws_cdk import Stack

    stack = Stack(app, "Warehouse")
    with pytest.raises(ConfigurationError, match=r"^requirements=lambda\.txt: no such file"):
        tidegate_cdk.EventPlatform(stack, "Events", functions=WAREHOUSE, requirements="lambda.txt")


def test_its_parameters_are_the_settings_and_each_is_explained() -> None:
    init = tidegate_cdk.EventPlatform.__init__
    parameters = {
        name: parameter.default
        for name, parameter in inspect.signature(init).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert parameters.pop("functions") is inspect.Parameter.empty
    defaults = {field.name: field.default for field in fields(Config)}
    # What only code can say, and no context.
    given = {name: parameters.pop(name) for name in ("environment", "policies")}
    assert parameters == {name: value for name, value in defaults.items() if name != "functions"}
    explained = re.findall(
        r"^    (\w+): ", inspect.getdoc(tidegate_cdk.EventPlatform) or "", re.MULTILINE
    )
    assert set(explained) >= {*defaults, *given}


def test_there_is_nothing_else_in_the_package() -> None:
    with pytest.raises(AttributeError, match="tidegate_cdk"):
        tidegate_cdk.Platform  # noqa: B018


PAGE = (ROOT / "docs" / "your-own-repository.md").read_text()


def test_the_app_that_the_docs_show_makes_a_stack(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, granting = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert 'functions="my_app"' in shown
    assert 'functions="my_app"' in granting
    (tmp_path / "my_app.py").write_text((ROOT / "tests/infra/apps/warehouse.py").read_text())
    from aws_cdk import Stack

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("aws_cdk.App", lambda: app)
    exec(compile(shown, "app.py", "exec"), {})  # noqa: S102
    template = synthesised(app, "Tidegate-dev")
    alarms = [one for one in template["Resources"].values() if "Alarm" in one["Type"]]
    assert alarms
    assert all(alarm["Properties"]["AlarmActions"] for alarm in alarms)
    names = {"stack": Stack(app, "Other"), "stage": "dev", "tidegate_cdk": tidegate_cdk}
    exec(compile(granting, "app.py", "exec"), names)  # noqa: S102


def test_the_docs_list_what_is_written() -> None:
    from tidegate.commands.init import _files

    for path in _files("my_app", "tidegate"):
        parents = {f"{parent.as_posix()}/" for parent in path.parents}
        assert any(f"`{name}`" in PAGE for name in {path.as_posix(), *parents}), path
