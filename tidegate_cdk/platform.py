"""From a CDK context to a cloud assembly: what `app.py` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aws_cdk import App

from tidegate_cdk import placement
from tidegate_cdk.config import Config
from tidegate_cdk.stack import TidegateStack


def project_context() -> dict[str, Any]:
    """The context of `cdk.json`, which holds whether or not the CDK's command line starts us."""
    context: dict[str, Any] = json.loads(Path("cdk.json").read_text())["context"]
    return context


def synthesise() -> None:
    """Write the stack of the stage that the context names, and where its new functions are.

    Raises:
        ConfigurationError: a context value cannot work, or a function is not right.
    """
    # What the command line passes (-c key=value) wins over this.
    app = App(context=project_context(), analytics_reporting=False)
    config = Config.read(app.node.try_get_context)
    manifest = config.manifest()
    placed = placement.update(Path(config.placement), manifest)
    TidegateStack(app, config=config, manifest=manifest, placed=placed)
    app.synth()
