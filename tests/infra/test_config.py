"""What `-c key=value` may say, and what is said when it may not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate import registry
from tidegate.errors import ConfigurationError
from tidegate.settings import Settings, variable
from tidegate_cdk.config import Config
from tidegate_cdk.context import Context

ROOT = Path(__file__).resolve().parents[2]
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
WAREHOUSE = "tests/infra/apps/warehouse.py"


def read(**context: Any) -> Config:
    return Config.read(Context({"functions": "functions.shop", **context}.get))


@pytest.fixture
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("warehouse", "no_functions", "many"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(ROOT)


def test_defaults_are_those_of_the_lambdas_settings() -> None:
    config = read()
    assert config.stage == "dev"
    assert config.max_request_bytes == Settings().max_request_bytes
    assert config.retention_days == Settings().retention_days


def test_values_from_the_command_line_are_text() -> None:
    config = read(
        stage="staging-2",
        functions="orders, billing.functions",
        function_timeout="900",
        retention_days="7",
        max_request_bytes="1048576",
        log_level="DEBUG",
        log_sample_rate="0.01",
        metrics="off",
        requests_per_second="50",
        encryption=KEY_ARN,
        alarms="all",
        alarms_to="on-call@example.com",
        dashboard="yes",
        tracing="on",
        placement="stacks/of-functions.json",
        requirements="functions/pyproject.toml",
    )
    assert config == Config(
        stage="staging-2",
        functions=("orders", "billing.functions"),
        function_timeout=900,
        retention_days=7,
        max_request_bytes=1_048_576,
        log_level="DEBUG",
        log_sample_rate=0.01,
        metrics="off",
        requests_per_second=50,
        encryption=KEY_ARN,
        alarms="all",
        alarms_to="on-call@example.com",
        dashboard="yes",
        tracing="on",
        placement="stacks/of-functions.json",
        requirements="functions/pyproject.toml",
    )


def test_parameters_are_what_the_context_leaves_open() -> None:
    parameters = {"functions": ["orders", "billing"], "stage": "trial", "retention_days": 9}
    config = Config.read(Context({"stage": "production"}.get, parameters))
    assert config == Config(stage="production", functions=("orders", "billing"), retention_days=9)


def test_a_wrong_parameter_is_called_a_parameter() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^parameter alarms \(alarms='some'\): use one of"
    ):
        Config.read(Context({}.get, {"functions": "orders", "alarms": "some"}))


@pytest.mark.parametrize("functions", ["", [], ["orders", ""], 7])
def test_parameters_name_functions(functions: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^parameter functions .*name the modules"):
        Config.read(Context({}.get, {"functions": functions}))


def test_values_in_cdk_json_may_be_numbers() -> None:
    assert read(retention_days=7).retention_days == 7


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stage", ""),
        ("stage", "pro duction"),
        ("stage", "x" * 41),
        ("stage", 7),
        ("functions", ""),
        ("functions", "orders,,billing"),
        ("function_timeout", "0"),
        ("function_timeout", "901"),
        ("function_timeout", "2m"),
        ("function_timeout", "1.5"),
        ("function_timeout", True),
        ("retention_days", "1"),
        ("retention_days", "3651"),
        ("max_request_bytes", "1023"),
        ("max_request_bytes", "5242881"),
        ("max_request_bytes", "-2000"),
        ("log_level", "verbose"),
        ("log_sample_rate", "2"),
        ("log_sample_rate", "1.01"),
        ("log_sample_rate", "-0.1"),
        ("log_sample_rate", "often"),
        ("metrics", "true"),
        ("placement", "stacks.yaml"),
        ("requirements", "setup.py"),
        ("requests_per_second", "0"),
        ("requests_per_second", "10001"),
        ("encryption", "customer"),
        ("encryption", "arn:aws:kms:us-east-1:123456789012:alias/mine"),
        ("alarms", "some"),
        ("alarms_to", "on-call"),
        ("alarms_to", "arn:aws:sqs:us-east-1:123456789012:on-call"),
        ("dashboard", "true"),
        ("tracing", "active"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_key(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(**{key: value})
    message = str(caught.value)
    assert message.startswith(f"context key {key} (-c {key}={value}): ")
    assert "\n" not in message


@pytest.mark.parametrize("key", ["retention_days", "max_request_bytes"])
def test_the_bounds_are_those_that_the_lambdas_check(key: str) -> None:
    def accepted(reads: Any, number: int) -> bool:
        try:
            reads(number)
        except ConfigurationError:
            return False
        return True

    bounds = {"retention_days": (2, 3650), "max_request_bytes": (1024, 5 * 1024 * 1024)}[key]
    for number in (bounds[0] - 1, bounds[0], bounds[1], bounds[1] + 1):
        assert accepted(lambda n: read(**{key: str(n)}), number) == accepted(
            lambda n: Settings.read({variable(key): str(n)}), number
        )


@pytest.mark.usefixtures("empty_registry")
def test_the_manifest_holds_what_the_modules_register() -> None:
    manifest = read(functions=WAREHOUSE, function_timeout="300").manifest()
    assert [function.id for function in manifest.functions] == [
        "warehouse-audit.all",
        "warehouse-count",
        "warehouse-reserve",
    ]
    for function in manifest.functions:
        assert function.module == "warehouse"
        assert function.timeout_s == 300


@pytest.mark.usefixtures("empty_registry")
def test_a_failure_handler_is_deployed_as_a_function_of_its_own(tmp_path: Path) -> None:
    module = tmp_path / "many.py"
    module.write_text(
        "from tidegate import Client, TriggerEvent\n"
        "client = Client(app_id='many')\n"
        "trigger = TriggerEvent(event='a')\n"
        "client.create_function(fn_id='f', trigger=trigger, on_failure=print)(lambda ctx: None)\n"
    )
    function, failure = read(functions=str(module)).manifest().functions
    assert (function.id, failure.id) == ("many-f", "many-f-failure")
    assert failure.module == "many", "not that of the handler"
    assert failure.filter_policy["name"] == ["@many-f-failure", "inngest/function.failed"]
    assert "=many-f" in failure.filter_policy["data-function_id"], "SNS keeps others' away"


@pytest.mark.usefixtures("empty_registry")
def test_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^functions=functions\.shopp: .*: no "):
        read(functions="functions.shopp").manifest()


@pytest.mark.usefixtures("empty_registry")
def test_an_app_without_functions_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"^functions=.*: no function is registered"):
        read(functions="tests/infra/apps/no_functions.py").manifest()


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("retention_days", "soon", "use a whole number from 2 to 3650"),
        ("stage", "pro duction", "use letters, digits and '-', at most 40"),
        ("functions", "functions.shopp", "no such file, folder or module"),
    ],
)
def test_the_app_prints_the_error_and_no_traceback(
    tmp_path: Path, key: str, value: str, why: str
) -> None:
    # Nor does it need a Node on the machine: there is no program at all on this PATH.
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": str(tmp_path),
            "CDK_CONTEXT_JSON": json.dumps({key: value}),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("tidegate: ")
    assert f"{key}={value}" in line
    assert why in line
