"""Where clients send to, and as whom: arguments and environment variables, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from tidegate.errors import ConfigurationError

DEV_BASE_URL = "http://127.0.0.1:8288"
DEV_EVENT_KEY = "NO_EVENT_KEY_SET"
# What a deployment takes unless it is told otherwise.
DEFAULT_MAX_REQUEST_BYTES = 512 * 1024
_PREFIXES = ("TIDEGATE_", "INNGEST_")


def variable(name: str) -> str | None:
    """The value of an environment variable by the first of its two names that is set.

    Args:
        name: the variable without its prefix, such as `EVENT_KEY`; an empty value counts as unset.
    """
    return _read(f"TIDEGATE_{name}") or _read(f"INNGEST_{name}")


def in_dev_mode() -> bool:
    """Whether the environment asks for dev mode."""
    return (variable("DEV") or "0").lower() not in ("0", "false")


def settled_base_url(
    api: Literal["API", "EVENT_API"], given: Mapping[str, str | None], *, dev: bool
) -> str | None:
    """The base URL that counts, checked and without a slash at its end.

    Args:
        api: which of the two; its variable, such as `…_EVENT_API_BASE_URL`, wins over
            `…_BASE_URL`.
        given: what the caller was told, by the name of the argument; it wins over variables.
        dev: whether `…_DEV`, where it is a URL, or else the usual dev server is a candidate.

    Raises:
        ConfigurationError: the one that counts is no base URL.
    """
    candidates = dict(given)
    for prefix in _PREFIXES:
        for name in (f"{api}_BASE_URL", "BASE_URL"):
            candidates[prefix + name] = _read(prefix + name)
        dev_url = _read(f"{prefix}DEV")
        if dev and dev_url and "://" in dev_url:
            candidates[f"{prefix}DEV"] = dev_url
    for source, url in candidates.items():
        if url:
            return _checked_url(source, url)
    return DEV_BASE_URL if dev else None


def checked_env(env: str | None) -> str | None:
    """The name of an environment, as it can be sent.

    Raises:
        ConfigurationError: it cannot.
    """
    if env and not (env.isascii() and env.isprintable()):
        raise ConfigurationError(f"env={env!r}: it travels as a header; use printable ASCII")
    return env


def _read(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


def _checked_url(source: str, url: str) -> str:
    fault = None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            fault = "write it as https://host"
        elif parts.query or parts.fragment:
            fault = "leave out '?' and '#' and what follows"
        elif parts.port == 0:
            fault = "port 0 cannot be connected to"
    except ValueError as error:
        fault = str(error)
    if fault:
        raise ConfigurationError(f"{source}={url!r} is no base URL: {fault}")
    return url.rstrip("/")
