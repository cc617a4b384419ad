"""What the README promises, taken out of it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
_BLOCK = re.compile(r"^```(?:\w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Curl:
    """A request, as a `curl` command line describes it."""

    url: str
    body: str

    @classmethod
    def parse(cls, command: str) -> Curl:
        """The request of `curl <url> -d <body>`."""
        curl, url, option, body = shlex.split(command)
        assert (curl, option) == ("curl", "-d")
        return cls(url, body)


def block(*contained: str) -> str:
    """The one code block of the README that contains these texts."""
    blocks = _BLOCK.findall(README.read_text())
    [found] = [text for text in blocks if all(part in text for part in contained)]
    return found


def curls_of(text: str) -> list[Curl]:
    """The `curl` commands in a text."""
    return [Curl.parse(command) for command in re.findall(r"curl \S+ -d '[^']*'", text)]


def curl_of(text: str) -> Curl:
    """The one `curl` command in a text."""
    [curl] = curls_of(text)
    return curl
