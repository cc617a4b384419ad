"""Stages with functions of a test's choice, made as `app.py` makes its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_cdk import App, Stack

    from tidegate.manifest import Manifest
    from tidegate_cdk.config import Config

ROOT = Path(__file__).resolve().parents[2]


def cdk_app(folder: Path) -> App:
    """A CDK app with the context of `cdk.json`, which writes into a folder."""
    from aws_cdk import App

    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return App(context=context, analytics_reporting=False, outdir=str(folder))


def stage_stack(
    app: App, config: Config, manifest: Manifest, placed: dict[str, int] | None = None
) -> Stack:
    """The stack of a stage, as `app.py` makes it, with functions of our choice."""
    from aws_cdk import Stack

    from tidegate_cdk.stage import Stage

    stack = Stack(app, f"Tidegate-{config.stage}", description=f"Tidegate, {config.stage}")
    Stage(stack, "Default", config=config, manifest=manifest, placed=placed)
    return stack
