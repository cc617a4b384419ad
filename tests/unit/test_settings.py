"""Settings: read from the environment, and refused when they cannot work."""

from __future__ import annotations

import pytest

from tidegate.errors import ConfigurationError
from tidegate.settings import MAX_REQUEST_BYTES, Settings, variable


def test_defaults() -> None:
    settings = Settings.read({})
    assert (settings.auth, settings.default_env) == ("keys", "production")
    assert settings.max_request_bytes == 512 * 1024
    assert settings.retention_s == 30 * 86_400


def test_what_is_written_is_read_again() -> None:
    settings = Settings(
        bucket="b", topic_arns=("t", "u"), auth="open", max_request_bytes=2048, retention_days=7
    )
    assert Settings.read(settings.environment(*vars(settings))) == settings
    assert settings.environment("topic_arns") == {"TIDEGATE_TOPIC_ARNS": "t,u"}
    assert settings.environment("bucket", "retention_days") == {
        "TIDEGATE_BUCKET": "b",
        "TIDEGATE_RETENTION_DAYS": "7",
    }


def test_other_variables_do_not_matter_and_empty_ones_count_as_unset() -> None:
    environment = {
        "TIDEGATE_AUTH": "",
        "TIDEGATE_X": "1",
        "BUCKET": "b",
        "TIDEGATE_RETENTION_DAYS": "",
    }
    assert Settings.read(environment) == Settings()


def test_all_missing_variables_are_named() -> None:
    environment = {"TIDEGATE_BUCKET": "b", "TIDEGATE_TOPIC_ARNS": ""}
    with pytest.raises(
        ConfigurationError, match=r"missing: TIDEGATE_TOPIC_ARNS, TIDEGATE_RUNS_TABLE$"
    ):
        Settings.read(environment, "bucket", "topic_arns", "runs_table")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("auth", ["keys", "open"], ["Keys", "none"]),
        (
            "max_request_bytes",
            ["1024", str(MAX_REQUEST_BYTES)],
            ["1023", str(MAX_REQUEST_BYTES + 1), "-1", "1e6", "512K"],
        ),
        ("retention_days", ["2", "3650"], ["1", "0", "3651", "a month"]),
    ],
)
def test_values_that_cannot_work_are_named(name: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert str(getattr(Settings.read({variable(name): text}), name)) == text
    for text in bad:
        with pytest.raises(ConfigurationError, match=variable(name)) as raised:
            Settings.read({variable(name): text})
        assert text in str(raised.value)
