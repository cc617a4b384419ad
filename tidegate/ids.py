"""ULIDs: of events (random or from a client's seed) and of runs (derived from what starts them)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass

from ulid import ULID

ULID_PATTERN = r"\A[0-7][0-9A-HJKMNP-TV-Z]{25}\z"
_ULID = re.compile(ULID_PATTERN.replace(r"\z", r"\Z"))
_MAX_MS = 2**48 - 1


def is_ulid(text: str) -> bool:
    """Whether the text is a ULID in its canonical spelling, 26 upper-case characters."""
    return _ULID.match(text) is not None


def ulid_at(ms: int, entropy: bytes) -> str:
    """The ULID of a time (UTC ms, 48 bits) and ten bytes."""
    return str(ULID.from_bytes(ms.to_bytes(6, "big") + entropy))


def random_ulid(ms: int) -> str:
    """A ULID of that time (UTC ms) with random entropy."""
    return ulid_at(ms, os.urandom(10))


def derived_ulid(ms: int, *parts: str) -> str:
    """The ULID of that time (UTC ms) whose entropy is a hash of the parts: same parts, same id."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return ulid_at(ms, digest[:10])


def ulid_ms(ulid: str) -> int:
    """The time that a ULID carries, in UTC ms."""
    return ULID.from_str(ulid).milliseconds


def run_id_of(env: str, function_id: str, event_internal_id: str) -> str:
    """The id of the run that an event starts of a function.

    It is derived, so that however often the event is delivered it names the same run, and the runs
    of an event can be computed from the event's id. It carries the event's time.
    """
    return derived_ulid(ulid_ms(event_internal_id), "run", env, function_id, event_internal_id)


@dataclass(frozen=True)
class Seed:
    """A sender's seed: the same seed gives the same event ids, so a repeated request is harmless.

    Attributes:
        ms: UTC milliseconds, the time part of the ids.
        entropy: ten bytes; event i (from 1) adds i to the last four, as a big-endian number.
    """

    ms: int
    entropy: bytes

    @classmethod
    def parse(cls, header: str | None) -> Seed | None:
        """The seed of an `x-inngest-event-id-seed` header, `<ms>,<base64 of 10 bytes>`.

        None when the header is absent or malformed: a bad seed is ignored, as Inngest does.
        """
        ms_text, comma, entropy_text = (header or "").partition(",")
        if not comma or not ms_text.isascii() or not ms_text.isdigit() or len(ms_text) > 15:
            return None
        try:
            entropy = base64.b64decode(entropy_text.encode(), validate=True)
        except (binascii.Error, ValueError):
            return None
        ms = int(ms_text)
        if len(entropy) != 10 or not 0 < ms <= _MAX_MS:
            return None
        return cls(ms, entropy)

    @classmethod
    def random(cls, ms: int) -> Seed:
        """A new seed at that time (UTC ms)."""
        return cls(ms, os.urandom(10))

    @classmethod
    def derived(cls, ms: int, *parts: str) -> Seed:
        """The seed of that time (UTC ms) and those parts: same parts, same seed."""
        return cls(ms, hashlib.sha256("\x00".join(parts).encode()).digest()[:10])

    @property
    def header(self) -> str:
        """The header's text."""
        return f"{self.ms},{base64.b64encode(self.entropy).decode()}"

    def ulid(self, number: int) -> str:
        """The id of the event with that number in its request, counted from 1."""
        tail = (int.from_bytes(self.entropy[6:], "big") + number) % 2**32
        return ulid_at(self.ms, self.entropy[:6] + tail.to_bytes(4, "big"))
