"""What a deployment can choose: the context keys of `cdk deploy -c key=value`, checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate import registry
from tidegate.errors import ConfigurationError
from tidegate.manifest import Manifest
from tidegate.settings import MAX_REQUEST_BYTES

PRODUCTION = "production"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# It becomes part of the stack's name; CloudFormation cuts what it derives from that to length.
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}\Z")


@dataclass(frozen=True)
class Config:
    """The choices for a stage; each field is the context key of that name.

    Attributes:
        stage: which copy of the system this is, `dev` or `production` or any other; copies share
            nothing.
        functions: the modules, comma-separated in the context, that register functions.
        function_timeout: how long one invocation of a function may take, 1 to 900 seconds.
        retention_days: how long events and runs are kept, 2 to 3650 days.
        max_request_bytes: the largest request body, 1024 to 5 MiB.
        log_level: what the Lambdas log.
        placement: the file that says in which stack each function is.
    """

    stage: str = "dev"
    functions: tuple[str, ...] = ()
    function_timeout: int = 120
    retention_days: int = 30
    max_request_bytes: int = 512 * 1024
    log_level: str = "INFO"
    placement: str = "placement.json"

    @classmethod
    def read(cls, context: Callable[[str], Any]) -> Config:
        """The choices in a CDK context.

        Args:
            context: gives a key's value, None when it is not set.

        Raises:
            ConfigurationError: a value cannot work; one line that names its key.
        """
        return cls(
            stage=_stage(context),
            functions=_functions(context),
            function_timeout=_number(context, "function_timeout", cls.function_timeout, 1, 900),
            retention_days=_number(context, "retention_days", cls.retention_days, 2, 3650),
            max_request_bytes=_number(
                context, "max_request_bytes", cls.max_request_bytes, 1024, MAX_REQUEST_BYTES
            ),
            log_level=_log_level(context),
            placement=_path(context, "placement", cls.placement),
        )

    @property
    def is_production(self) -> bool:
        """Whether what this stage stores outlives the stack."""
        return self.stage == PRODUCTION

    def manifest(self) -> Manifest:
        """The manifest of the functions that the modules register.

        Raises:
            ConfigurationError: a module does not exist, or registers no function.
        """
        try:
            registry.load(self.functions)
        except ConfigurationError as error:
            raise _wrong("functions", ",".join(self.functions), str(error)) from None
        functions = registry.registered()
        if not functions:
            raise _wrong("functions", ",".join(self.functions), "no function is registered there")
        return Manifest.of(functions, timeout_s=self.function_timeout)


def _wrong(key: str, value: object, why: str) -> ConfigurationError:
    return ConfigurationError(f"context key {key} (-c {key}={value}): {why}")


def _stage(context: Callable[[str], Any]) -> str:
    value = context("stage")
    if value is None:
        return Config.stage
    if not isinstance(value, str) or not _STAGE.match(value):
        raise _wrong("stage", value, "use letters, digits and '-', at most 40")
    return value


def _functions(context: Callable[[str], Any]) -> tuple[str, ...]:
    value = context("functions")
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else []
    if not names or not all(names):
        raise _wrong(
            "functions", value or "", "name the modules that register functions, with commas"
        )
    return tuple(names)


def _number(
    context: Callable[[str], Any], key: str, default: int, lowest: int, highest: int
) -> int:
    value = context(key)
    if value is None:
        return default
    # From the command line it is text, from cdk.json it may be a number.
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}", str(value)):
        raise _wrong(key, value, f"use a whole number from {lowest} to {highest}")
    if not lowest <= int(value) <= highest:
        raise _wrong(key, value, f"it lies between {lowest} and {highest}")
    return int(value)


def _path(context: Callable[[str], Any], key: str, default: str) -> str:
    value = context(key)
    if value is None:
        return default
    if not isinstance(value, str) or not value.endswith(".json"):
        raise _wrong(key, value, "name a file that ends in .json")
    return value


def _log_level(context: Callable[[str], Any]) -> str:
    value = context("log_level")
    if value is None:
        return Config.log_level
    if value not in LOG_LEVELS:
        raise _wrong("log_level", value, f"use one of {', '.join(LOG_LEVELS)}")
    return str(value)
