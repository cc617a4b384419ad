"""What an app gives its functions' Lambdas besides what Tidegate needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import aws_iam as iam

from tidegate.errors import ConfigurationError

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
# Lambda's own, and ours.
_RESERVED = ("AWS_", "LAMBDA_", "POWERTOOLS_", "TIDEGATE_")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: of a role.
_MAX_POLICIES = 10


@dataclass(frozen=True)
class FunctionOptions:
    """The same for all functions of a stage.

    Attributes:
        environment: environment variables, by name.
        policies: what their roles may do besides.

    Raises:
        ConfigurationError: a variable cannot be called so, or there are too many policies.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    policies: Sequence[iam.IManagedPolicy] = ()

    def __post_init__(self) -> None:
        for name, value in self.environment.items():
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"environment: {name!r} is no name of a variable; use letters, digits and '_', "
                    "a letter first, two at least"
                )
            if name.startswith(_RESERVED):
                raise ConfigurationError(
                    f"environment: {name} is reserved, as are all of {', '.join(_RESERVED)}"
                )
            if not isinstance(value, str):
                raise ConfigurationError(f"environment: the value of {name} is no text: {value!r}")
        if len(self.policies) > _MAX_POLICIES:
            raise ConfigurationError(
                f"policies: a role takes {_MAX_POLICIES}, there are {len(self.policies)}; put "
                "their statements together"
            )


NO_OPTIONS = FunctionOptions()
