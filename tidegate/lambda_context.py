"""What is used of the context that Lambda passes to a handler.

See https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

from __future__ import annotations

from typing import Protocol


class LambdaContext(Protocol):
    """The context of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """How long the invocation may still take, in ms."""
