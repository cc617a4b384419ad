"""The whole template: what cfn-lint finds in it, and what changed in it."""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

SNAPSHOT = Path(__file__).parent / "snapshot.json"
UPDATE = "TIDEGATE_UPDATE_SNAPSHOT"

# The CDK lets a Lambda depend on its role by name and by reference; cfn-lint finds that redundant.
REDUNDANT_DEPENDENCY = "W3005"


def test_the_template_is_the_one_of_the_snapshot(template: dict[str, Any]) -> None:
    """Look at the difference; if it is meant, run this test with TIDEGATE_UPDATE_SNAPSHOT=1."""
    text = json.dumps(template, indent=2, sort_keys=True) + "\n"
    text = re.sub(r"\b[0-9a-f]{64}\b", "<asset>", text)
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(text)
    before = SNAPSHOT.read_text()
    if text != before:
        difference = difflib.unified_diff(
            before.splitlines(), text.splitlines(), "snapshot.json", "template", lineterm="", n=8
        )
        pytest.fail(
            f"the template changed; if it is meant, run this with {UPDATE}=1\n"
            + "\n".join(difference),
            pytrace=False,
        )


@pytest.mark.parametrize("stage", ["dev", "production"])
def test_cfn_lint_finds_nothing(synthesis: Any, stage: str) -> None:
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    found = lint(
        json.dumps(synthesis.templates[f"Tidegate-{stage}"]),
        config=ManualArgs(regions=["us-east-1"], ignore_checks=[REDUNDANT_DEPENDENCY]),
    )
    assert not [str(match) for match in found]


def test_cfn_lint_finds_nothing_with_every_choice_made(guarded: Any) -> None:
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    config = ManualArgs(regions=["us-east-1"], ignore_checks=[REDUNDANT_DEPENDENCY])
    for template in (guarded.root, *guarded.nested):
        assert not [str(match) for match in lint(json.dumps(template), config=config)]


def test_cfn_lint_knows_the_runtime(template: dict[str, Any]) -> None:
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    resources = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    text = json.dumps({"Resources": resources}).replace('"python3.14"', '"python3.99"')
    found = lint(text, config=ManualArgs(regions=["us-east-1"]))
    assert any("python3.99" in str(match) for match in found)
