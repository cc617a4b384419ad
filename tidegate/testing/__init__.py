"""Tests of functions, without AWS and without waiting: `from tidegate.testing import run`."""

from tidegate.testing.result import Result, RunFailedError, StepResult
from tidegate.testing.running import EndlessRunError, run

__all__ = ["EndlessRunError", "Result", "RunFailedError", "StepResult", "run"]
