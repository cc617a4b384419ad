"""What moto keeps and nobody here looks at, let go of: it would fill the machine's memory.

Made for moto 5.2.5. There every object ever made is kept for a dashboard, and each topic keeps
whatever it published. (What queues keep is in `sqs_speed`, what is stored in `history`.)
"""

from __future__ import annotations

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


def _make_untracked(cls: Any, *_: Any, **__: Any) -> Any:
    return super(_Model, cls).__new__(cls)


class _Nothing:
    """An attribute that is always an empty list: it forgets what is put into it."""

    def __get__(self, _: object, __: object = None) -> list[Any]:
        return []

    def __set__(self, _: object, __: object) -> None:
        pass
