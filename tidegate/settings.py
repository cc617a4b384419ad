"""What a Lambda is told through its environment variables, read once when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from tidegate.errors import ConfigurationError

MAX_REQUEST_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Where a stage's resources are. Each field `x_y` is the variable `TIDEGATE_X_Y`.

    Attributes:
        dedup_table, events_table, runs_table, steps_table, waits_table, jobs_table,
            keys_table: names.
        topic_arns: the topics that events are published to, in the order of the manifest's shards.
        bucket: holds what is too large for a message or an item.
        manifest: path of the manifest file.
        auth: `keys` (event and signing keys are checked) or `open` (any will do).
        default_env: the environment of requests that name none, where `auth` is `open`.
        max_request_bytes: the largest request body, after decompression.
        retention_days: how long events and runs are kept.
        function: the id of the function that a worker runs.
        queue_url, queue_arn, dead_letter_url, dead_letter_arn: a worker's own queues.
        matcher_queue_url: the queue of the matcher.
        queues_path: where Parameter Store has the names of all functions' queues.
        schedule_group, schedule_role_arn: for delays beyond what SQS can do.
        schedule_key_arn: the KMS key of schedules, if it is not AWS's own.
        stage: the stage's name, for its metrics.
        metrics: `on` (what happens is counted for CloudWatch) or `off`.
        tracing: `on` (X-Ray is told of runs and steps) or `off`.
    """

    dedup_table: str = ""
    events_table: str = ""
    runs_table: str = ""
    steps_table: str = ""
    waits_table: str = ""
    jobs_table: str = ""
    keys_table: str = ""
    topic_arns: tuple[str, ...] = ()
    bucket: str = ""
    manifest: str = ""
    auth: str = "keys"
    default_env: str = "production"
    max_request_bytes: int = 512 * 1024
    retention_days: int = 30
    function: str = ""
    queue_url: str = ""
    queue_arn: str = ""
    dead_letter_url: str = ""
    dead_letter_arn: str = ""
    matcher_queue_url: str = ""
    queues_path: str = ""
    schedule_group: str = ""
    schedule_role_arn: str = ""
    schedule_key_arn: str = ""
    stage: str = ""
    metrics: str = "off"
    tracing: str = "off"

    @classmethod
    def read(cls, environment: Mapping[str, str], *required: str) -> Settings:
        """The settings in an environment.

        Args:
            environment: such as `os.environ`.
            required: the fields that this Lambda cannot do without.

        Raises:
            ConfigurationError: a required variable is missing, or a value makes no sense.
        """
        values: dict[str, str | int | tuple[str, ...]] = {}
        for field in fields(cls):
            text = environment.get(variable(field.name), "")
            if not text:
                continue
            values[field.name] = _value(field.name, str(field.type), text)
        missing = [variable(name) for name in required if name not in values]
        if missing:
            raise ConfigurationError(f"environment variables are missing: {', '.join(missing)}")
        settings = cls(**values)  # type: ignore[arg-type]
        settings._check()
        return settings

    @property
    def retention_s(self) -> int:
        """How long events and runs are kept, in seconds."""
        return self.retention_days * 86_400

    def environment(self, *names: str) -> dict[str, str]:
        """The environment variables that carry the named fields."""
        return {variable(name): _text(getattr(self, name)) for name in names}

    def _check(self) -> None:
        if self.auth not in ("keys", "open"):
            raise ConfigurationError(f"TIDEGATE_AUTH={self.auth!r}: it is 'keys' or 'open'")
        for name in ("metrics", "tracing"):
            if getattr(self, name) not in ("on", "off"):
                value = getattr(self, name)
                raise ConfigurationError(f"{variable(name)}={value!r}: it is 'on' or 'off'")
        if not 1024 <= self.max_request_bytes <= MAX_REQUEST_BYTES:
            raise ConfigurationError(
                f"TIDEGATE_MAX_REQUEST_BYTES={self.max_request_bytes}: "
                f"it lies between 1024 and {MAX_REQUEST_BYTES}"
            )
        if not 2 <= self.retention_days <= 3650:
            # Deduplication trusts the stored event for 24 hours.
            raise ConfigurationError(
                f"TIDEGATE_RETENTION_DAYS={self.retention_days}: it lies between 2 and 3650"
            )


def variable(field_name: str) -> str:
    """The environment variable of a field."""
    return f"TIDEGATE_{field_name.upper()}"


def _value(field_name: str, kind: str, text: str) -> str | int | tuple[str, ...]:
    if kind == "int":
        return _number(field_name, text)
    return tuple(text.split(",")) if kind.startswith("tuple") else text


def _text(value: str | int | tuple[str, ...]) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _number(field_name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"{variable(field_name)}={text!r} is not a whole number") from None
