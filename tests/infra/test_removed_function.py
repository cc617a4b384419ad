"""A function that is gone from the code keeps its queue, and what ends its runs."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import APPS, AUDIT, COUNT, REMOVED, RESERVE
from stages import cdk_app, stage_stack

import tidegate_cdk
from tidegate import registry
from tidegate.manifest import Manifest

OWN = "Functionwarehousereserve"


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template of stage dev, once `warehouse-reserve` is gone from the code."""
    from tidegate_cdk.config import Config

    manifest = Manifest((AUDIT, COUNT)).keeping([AUDIT.id, COUNT.id, RESERVE.id, REMOVED])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(APPS))
        app = cdk_app(tmp_path_factory.mktemp("cdk.out"))
        stage_stack(app, Config(functions=("warehouse",), retention_days=7), manifest)
        folder = Path(app.synth().directory)
    template: dict[str, Any] = json.loads((folder / "Tidegate-dev.template.json").read_text())
    return template


def test_its_resources_are_the_same_ones(template: dict[str, Any], without: dict[str, Any]) -> None:
    before, after = template["Resources"], without["Resources"]
    assert before.keys() == after.keys()
    assert [name for name in before if name.startswith(f"{OWN}Queue")]
    for name in before:
        assert before[name]["Type"] == after[name]["Type"]
        assert before[name].get("DependsOn") == after[name].get("DependsOn")


def test_its_queue_changes_only_in_how_often_it_gives_a_message(
    template: dict[str, Any], without: dict[str, Any]
) -> None:
    def changed(name: str) -> bool:
        one, other = (copy.deepcopy(of["Resources"][name]) for of in (template, without))
        for resource in (one, other):
            # The asset holds the manifest, which is another one.
            resource.pop("Metadata", None)
            resource.get("Properties", {}).pop("Code", None)
        return bool(one != other)

    found = {name[:-8] for name in template["Resources"] if changed(name)}
    assert found == {f"{OWN}Queue", f"{OWN}Subscription", f"{OWN}WorkerFunction"}
    [queue] = [name for name in template["Resources"] if name[:-8] == f"{OWN}Queue"]
    before, after = (dict(of["Resources"][queue]["Properties"]) for of in (template, without))
    more, most = (of.pop("RedrivePolicy")["maxReceiveCount"] for of in (before, after))
    assert before == after
    # Whatever `retries` it had: a message that was received often does not die of the removal.
    assert most == 20 + 10 >= more


def test_only_what_is_sent_to_it_alone_reaches_it(without: dict[str, Any]) -> None:
    [policy] = [
        resource["Properties"]["FilterPolicy"]
        for name, resource in without["Resources"].items()
        if name[:-8] == f"{OWN}Subscription"
    ]
    assert policy == {"name": ["@warehouse-reserve"]}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An app in a folder of its own, in a process that knows of no functions."""
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(sys, "path", [str(APPS), *sys.path])
    monkeypatch.delitem(sys.modules, "warehouse", raising=False)
    monkeypatch.chdir(tmp_path)
    yield cdk_app(tmp_path / "cdk.out")
    sys.modules.pop("warehouse", None)


def test_the_placement_says_what_was_removed_and_the_synthesis_tells(
    app: Any, tmp_path: Path
) -> None:
    from aws_cdk import Stack
    from aws_cdk.assertions import Annotations, Match

    placement = tmp_path / "placement.json"
    placement.write_text(json.dumps({"warehouse-old": 0, "warehouse-reserve": 0}))
    stack = Stack(app, "Warehouse")
    tidegate_cdk.EventPlatform(stack, "Events", functions="warehouse", function_timeout=60)
    folder = Path(app.synth().directory)
    template = json.loads((folder / "Warehouse.template.json").read_text())
    workers = {
        variables["TIDEGATE_FUNCTION"]: resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
        and "TIDEGATE_FUNCTION" in (variables := resource["Properties"]["Environment"]["Variables"])
    }
    assert workers["warehouse-old"]["Handler"] == workers["warehouse-reserve"]["Handler"]
    assert workers["warehouse-old"]["Timeout"] == 60
    assert "warehouse-old" in json.loads(placement.read_text())
    found = Annotations.from_stack(stack).find_info("*", Match.any_value())
    told = [message.entry.data for message in found]
    assert told == [
        "function warehouse-old was removed. Its queue stays, so that its runs that wait are "
        "ended. `tidegate runs cancel --function warehouse-old` ends them now; when none is left, "
        "delete its line from placement.json"
    ]
    [asset] = {worker["Code"]["S3Key"].removesuffix(".zip") for worker in workers.values()}
    manifest = Manifest.read(folder / f"asset.{asset}" / "manifest.json")
    assert [one.id for one in manifest.removed] == ["warehouse-old"]
