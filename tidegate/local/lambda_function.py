"""Lambdas in this process: with module globals and environment variables of their own."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

from tidegate.errors import ConfigurationError
from tidegate.local.environment import lambda_environment

# Nothing ends a local invocation: somebody may sit at a breakpoint. Half a day is also the longest
# that SQS hides a message.
TIMEOUT_S = 12 * 3600

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"

# Held while modules of Lambdas or of the app are executed: environment variables and the registry
# of functions belong to the whole process.
EXECUTING = threading.RLock()

_instances = itertools.count(1)


_Handler = Callable[[Any, "LambdaContext"], Any]


@dataclass(frozen=True)
class LambdaContext:
    """What Lambda tells a handler of its invocation.

    See https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    function_name: str
    timeout_s: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "512"
    identity: None = None
    client_context: None = None
    started_s: float = field(default_factory=lambda: time.monotonic())

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """Where its lines would go in CloudWatch."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """As `log_group_name`, the stream."""
        return "local"

    def get_remaining_time_in_millis(self) -> int:
        """How long until the invocation would be ended."""
        return max(0, int((self.started_s + self.timeout_s - time.monotonic()) * 1000))


class LambdaFunction:
    """A Lambda: as many execution environments as there are invocations at once.

    Each environment executes the handler's module anew, under the Lambda's own environment
    variables, and serves one invocation at a time; see
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html

    Args:
        name: the Lambda's name.
        handler_module: the dotted name of the module that has `handler(event, context)`.
        variables: its environment variables, which lie over this process's while the module is
            executed. Like any Lambda, the module reads them then and not later.
        timeout_s: what the context says of the time left.

    Raises:
        ConfigurationError: there is no such module, or it has no handler. What the module itself
            raises passes through.
    """

    def __init__(
        self,
        name: str,
        handler_module: str,
        variables: Mapping[str, str],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = name
        self._handler_module = handler_module
        self._variables = dict(variables)
        self._timeout_s = timeout_s
        # The one used last is used next, so that few are in use when there is little to do.
        self._idle: deque[_Handler] = deque([self._start()])

    def invoke(self, event: Any) -> Any:
        """What the handler returns for an event; what it raises passes through."""
        try:
            handler = self._idle.pop()
        except IndexError:
            handler = self._start()
        try:
            return handler(event, LambdaContext(self.name, self._timeout_s))
        finally:
            self._idle.append(handler)

    def _start(self) -> _Handler:
        """A new environment."""
        module = _execute(self._handler_module, self._variables)
        handler = getattr(module, "handler", None)
        if not callable(handler):
            raise ConfigurationError(f"{self._handler_module}: has no handler(event, context)")
        return cast(_Handler, handler)


def _execute(handler_module: str, variables: Mapping[str, str]) -> ModuleType:
    try:
        found = importlib.util.find_spec(handler_module)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        raise ConfigurationError(f"{handler_module}: no such module")
    name = f"{handler_module}__{next(_instances)}"
    spec = importlib.util.spec_from_file_location(name, found.origin)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{handler_module}: {found.origin} is no Python module")
    module = importlib.util.module_from_spec(spec)
    with EXECUTING, lambda_environment(variables):
        # Dataclasses and pydantic look a module up by its name while they define classes in it.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[name]
    return module
