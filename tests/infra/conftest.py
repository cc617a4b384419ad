"""One synthesis for all tests of the stack: two stages of the same app, in one cloud assembly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from stages import cdk_app, stage_stack

import tidegate_cdk  # noqa: F401 - names the Node that the CDK starts, so it comes before the CDK
from tidegate.cron import TriggerCron
from tidegate.manifest import CronManifest, FunctionManifest, Manifest, TriggerManifest

if TYPE_CHECKING:
    from aws_cdk.assertions import Template


APPS = Path(__file__).parent / "apps"

RESERVE = FunctionManifest(
    id="warehouse-reserve",
    app_id="warehouse",
    name="Reserve stock",
    module="warehouse",
    triggers=(TriggerManifest(event="shop/order.placed"),),
    retries=4,
    timeout_s=120,
)
AUDIT = FunctionManifest(
    id="warehouse-audit.all",
    app_id="warehouse",
    name="Audit",
    module="warehouse",
    triggers=(
        TriggerManifest(event="shop/*"),
        TriggerManifest(event="billing/invoice.*"),
        TriggerManifest(event="user/created"),
    ),
    retries=0,
    timeout_s=900,
)
COUNT = FunctionManifest(
    id="warehouse-count",
    app_id="warehouse",
    name="Count the stock",
    module="warehouse",
    triggers=(),
    crons=(
        CronManifest.of(TriggerCron(cron="TZ=Europe/Berlin 0 5 * * MON-SAT", jitter="1m")),
        # A day that either field names, for which Scheduler needs two schedules.
        CronManifest.of(TriggerCron(cron="30 23 1 * SUN")),
    ),
    retries=4,
    timeout_s=120,
)
# It has been deployed, and is gone from the code.
REMOVED = "warehouse-restock"


@dataclass(frozen=True)
class Synthesis:
    """What the CDK wrote: a template per stage, and the folder they and the assets are in."""

    folder: Path
    templates: dict[str, dict[str, Any]]
    dev: Template
    production: Template


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return Manifest(functions=(AUDIT, COUNT, RESERVE)).keeping([REMOVED])


@pytest.fixture(scope="session")
def synthesis(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    # Imported here, so that only the tests that need the CDK start it.
    from aws_cdk.assertions import Template

    from tidegate_cdk.config import Config

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(APPS))
        app = cdk_app(tmp_path_factory.mktemp("cdk.out"))
        dev, production = (
            stage_stack(
                app,
                Config(stage=stage, functions=("warehouse",), retention_days=7),
                manifest,
            )
            for stage in ("dev", "production")
        )
        folder = Path(app.synth().directory)
    return Synthesis(
        folder=folder,
        templates={
            stack.stack_name: json.loads((folder / stack.template_file).read_text())
            for stack in (dev, production)
        },
        dev=Template.from_stack(dev),
        production=Template.from_stack(production),
    )


@pytest.fixture(scope="session")
def template(synthesis: Synthesis) -> dict[str, Any]:
    """The template of stage dev."""
    return synthesis.templates["Tidegate-dev"]


@pytest.fixture(scope="session")
def asset(synthesis: Synthesis, template: dict[str, Any]) -> Path:
    """The folder that becomes the Lambdas' code."""
    keys = {
        resource["Properties"]["Code"]["S3Key"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    assert len(keys) == 1, "all Lambdas share one asset"
    return synthesis.folder / f"asset.{keys.pop().removesuffix('.zip')}"


@dataclass(frozen=True)
class Guarded:
    """A production stage with everything that a stage can choose for its safety.

    Its functions are in two stacks, and so on two topics.

    Attributes:
        root: the template of the stage's own stack.
        nested: the templates of the stacks in it.
        found: by stage, what the AWS Solutions pack of cdk-nag found: rule and construct.
        is_protected: by stage, whether the stack can be deleted without being told twice.
    """

    root: dict[str, Any]
    nested: list[dict[str, Any]]
    found: dict[str, set[tuple[str, str]]]
    is_protected: dict[str, bool]

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """The resources of a type in all of its stacks."""
        templates = (self.root, *self.nested)
        every = (one for template in templates for one in template["Resources"].values())
        return [resource for resource in every if resource["Type"] == kind]


@pytest.fixture(scope="session")
def guarded(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks

    from tidegate_cdk.config import Config

    folder = tmp_path_factory.mktemp("cdk.out")
    plain = Config(stage="dev", functions=("warehouse",))
    chosen = Config(
        stage="production",
        functions=("warehouse",),
        encryption="stack",
        alarms="all",
        alarms_to="on-call@example.com",
        tracing="on",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(APPS))
        app = cdk_app(folder)
        stacks = [
            stage_stack(app, plain, manifest),
            stage_stack(
                app,
                chosen,
                manifest,
                placed={AUDIT.id: 0, COUNT.id: 4, RESERVE.id: 4, REMOVED: 4},
            ),
        ]
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
        # It has found something, which is told apart below.
        with pytest.raises(Exception, match="ValidationFailed"):
            app.synth()
    report = json.loads((folder / "validation-report.json").read_text())
    found: dict[str, set[tuple[str, str]]] = {stack.stack_name: set() for stack in stacks}
    for violation in report["pluginReports"][0]["violations"]:
        for construct in violation["violatingConstructs"]:
            stage, _, path = construct["constructPath"].partition("/Default/")
            found[stage].add((violation["ruleName"], path))
    return Guarded(
        root=json.loads((folder / "Tidegate-production.template.json").read_text()),
        nested=[
            json.loads(path.read_text())
            for path in sorted(folder.glob("Tidegateproduction*.nested.template.json"))
        ],
        found=found,
        is_protected={stack.stack_name: bool(stack.termination_protection) for stack in stacks},
    )
