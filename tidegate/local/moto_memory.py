"""What moto keeps and nobody here looks at, let go of: it would fill the machine's memory.

Made for moto 5.2.5. There every object ever made is kept for a dashboard, and each topic keeps
whatever it published; and Parameter Store loads all that is known of EC2's machines, 100 MB of it,
which takes seconds. (What queues keep is in `sqs_speed`, what is stored in `history`.)
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import moto.sns.models
from moto.core.common_models import BaseModel

MOTO_VERSION = "5.2.5"

# What is about to be overridden, and so has no types.
_Model: Any = BaseModel
_Topic: Any = moto.sns.models.Topic


def install() -> None:
    """Let go of it from now on; doing it twice is no error."""
    _Model.__new__ = staticmethod(_make_untracked)
    _Topic.sent_notifications = _Nothing()
    _load_parameter_store()


def _load_parameter_store() -> None:
    """Load Parameter Store, and EC2 only when somebody asks it for what EC2 has."""
    if _EC2 in sys.modules:
        return
    stand_in: Any = ModuleType(_EC2)
    stand_in.ec2_backends = _Later()
    sys.modules[_EC2] = stand_in
    try:
        importlib.import_module("moto.ssm.models")
    finally:
        del sys.modules[_EC2]


_EC2 = "moto.ec2"


class _Later:
    """EC2's backends, which are loaded when they are first looked at."""

    def __getitem__(self, account_id: str) -> Any:
        return importlib.import_module(_EC2).ec2_backends[account_id]


def _make_untracked(cls: Any, *_: Any, **__: Any) -> Any:
    return super(_Model, cls).__new__(cls)


class _Nothing:
    """An attribute that is always an empty list: it forgets what is put into it."""

    def __get__(self, _: object, __: object = None) -> list[Any]:
        return []

    def __set__(self, _: object, __: object) -> None:
        pass
