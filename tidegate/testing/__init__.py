"""Tests of functions, without AWS and without waiting: `from tidegate.testing import run`."""

from tidegate.testing.result import Result, RunFailedError, StepResult
from tidegate.testing.running import EndlessRunError, run
from tidegate.testing.start import After

__all__ = ["After", "EndlessRunError", "Result", "RunFailedError", "StepResult", "run"]
