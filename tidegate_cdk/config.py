"""What a deployment can choose: parameters of the construct, or context keys, checked."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate import registry
from tidegate.errors import ConfigurationError
from tidegate.manifest import Manifest
from tidegate.settings import MAX_REQUEST_BYTES
from tidegate_cdk.context import Context, choice, modules, number, share, text

PRODUCTION = "production"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# It becomes part of the stack's name; CloudFormation cuts what it derives from that to length.
_STAGE = r"[A-Za-z0-9][A-Za-z0-9-]{0,39}"
# What the app's code has instead of the ARN of something that is deployed with it.
_UNRESOLVED = r"|\$\{Token\[[^\]]+\]\}"
_KEY = r"aws|stack|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+" + _UNRESOLVED
_TOPIC_OR_EMAIL = (
    r"none|arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]+|[^@\s]+@[^@\s]+\.[^@\s]+" + _UNRESOLVED
)


def stage_of(context: Context) -> str:
    """The stage that is chosen, `dev` if none is.

    Raises:
        ConfigurationError: it cannot be called so.
    """
    return text(context, "stage", Config.stage, _STAGE, "use letters, digits and '-', at most 40")


@dataclass(frozen=True)
class Config:
    """The choices for a stage; each field is the parameter and the context key of that name.

    Attributes:
        stage: which copy of the system this is, `dev` or `production` or any other; copies share
            nothing.
        functions: the modules, comma-separated in the context, that register functions.
        function_timeout: how long one invocation of a function may take, 1 to 900 seconds.
        retention_days: how long events and runs are kept, 2 to 3650 days.
        max_request_bytes: the largest request body, 1024 to 5 MiB.
        requests_per_second: how many requests the HTTP API lets through, 1 to 10000.
        encryption: `aws` (keys of AWS), `stack` (a KMS key in the stack), or a KMS key's ARN.
        log_level: what the Lambdas log.
        log_sample_rate: the share of invocations, 0 to 1, that are logged at `DEBUG`.
        metrics: whether Lambdas count what happens for CloudWatch, `on` or `off`.
        alarms: `queues` (of the stage and of queues), `all` (of Lambdas, too), or `none`.
        alarms_to: an SNS topic's ARN or an e-mail address that alarms notify, or `none`.
        dashboard: `production` (in that stage only), `yes` or `no`.
        tracing: whether X-Ray traces Lambdas, `on` or `off`.
        placement: the file that says in which stack each function is.
        requirements: the file that lists what the functions import besides Tidegate, if it exists.
    """

    stage: str = "dev"
    functions: tuple[str, ...] = ()
    function_timeout: int = 120
    retention_days: int = 30
    max_request_bytes: int = 512 * 1024
    requests_per_second: int = 1000
    encryption: str = "aws"
    log_level: str = "INFO"
    log_sample_rate: float = 0
    metrics: str = "on"
    alarms: str = "queues"
    alarms_to: str = "none"
    dashboard: str = "production"
    tracing: str = "off"
    placement: str = "placement.json"
    requirements: str = "requirements.txt"

    @classmethod
    def read(cls, context: Context) -> Config:
        """The choices in the app's code and in the CDK's context.

        Args:
            context: gives a key's value, None when it is not set.

        Raises:
            ConfigurationError: a value cannot work; one line that names its key.
        """
        return cls(
            stage=stage_of(context),
            functions=modules(context, "functions"),
            function_timeout=number(context, "function_timeout", cls.function_timeout, 1, 900),
            retention_days=number(context, "retention_days", cls.retention_days, 2, 3650),
            max_request_bytes=number(
                context, "max_request_bytes", cls.max_request_bytes, 1024, MAX_REQUEST_BYTES
            ),
            requests_per_second=number(
                context, "requests_per_second", cls.requests_per_second, 1, 10_000
            ),
            encryption=text(
                context,
                "encryption",
                cls.encryption,
                _KEY,
                "use 'aws', 'stack' or the ARN of a KMS key",
            ),
            log_level=choice(context, "log_level", cls.log_level, *LOG_LEVELS),
            log_sample_rate=share(context, "log_sample_rate", cls.log_sample_rate),
            metrics=choice(context, "metrics", cls.metrics, "on", "off"),
            alarms=choice(context, "alarms", cls.alarms, "none", "queues", "all"),
            alarms_to=text(
                context,
                "alarms_to",
                cls.alarms_to,
                _TOPIC_OR_EMAIL,
                "use 'none', the ARN of an SNS topic or an e-mail address",
            ),
            dashboard=choice(context, "dashboard", cls.dashboard, PRODUCTION, "yes", "no"),
            tracing=choice(context, "tracing", cls.tracing, "on", "off"),
            placement=text(
                context, "placement", cls.placement, r".+\.json", "name a file that ends in .json"
            ),
            requirements=text(
                context,
                "requirements",
                cls.requirements,
                r".+\.txt|(.+/)?pyproject\.toml",
                "name a file that ends in .txt, or a pyproject.toml",
            ),
        )

    @property
    def is_production(self) -> bool:
        """Whether what this stage stores outlives the stack."""
        return self.stage == PRODUCTION

    @property
    def has_dashboard(self) -> bool:
        """Whether the stage has a dashboard."""
        return self.dashboard == "yes" or (self.dashboard == PRODUCTION and self.is_production)

    def manifest(self) -> Manifest:
        """The manifest of the functions that the modules register.

        Raises:
            ConfigurationError: a module does not exist, or registers no function.
        """
        try:
            registry.load(self.functions)
        except ConfigurationError as error:
            raise self._no_functions(str(error)) from None
        functions = registry.registered()
        if not functions:
            raise self._no_functions("no function is registered there")
        return Manifest.of(functions, timeout_s=self.function_timeout)

    def _no_functions(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"functions={','.join(self.functions)}: {why}")
