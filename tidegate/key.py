"""Event keys and signing keys: who may send and who may look, and into which environment.

The table holds hashes only. An event key is found by its SHA-256. A signing key is known to
Inngest's clients in two spellings, the key itself and its hash (SHA-256 of the hex-decoded key);
the table has the hash of that hash, so that what is stored opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from pydantic_core import ValidationError

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.clock import Clock, day_of
from tidegate.environments import MAX_ENV_LENGTH, Environment, Environments
from tidegate.errors import ConfigurationError, RequestError
from tidegate.event_pattern import matches
from tidegate.ids import Seed
from tidegate.settings import Settings

logger = logging.getLogger("tidegate.key")

Kind = Literal["event", "signing"]

CACHE_MS = 60_000
_MAX_CACHED = 1_000
_ENV = re.compile(rf"[!-~]{{1,{MAX_ENV_LENGTH}}}\Z")
_SIGNING_PREFIX = re.compile(r"signkey-\w+-")
_HEX_64 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Key:
    """A key, without its secret.

    Attributes:
        kind: `event` to send, `signing` to look and act.
        env: the environment it belongs to.
        branch: whether it opens the environments that `x-inngest-env` names, but for those that
            other keys were created for.
        event_names: what it may send, exact names and wildcards; empty means everything.
        id: what the table knows it by; it opens nothing.
    """

    kind: Kind
    env: str
    branch: bool = False
    event_names: tuple[str, ...] = ()
    id: str = field(default="", compare=False)

    def environment(self, header: str | None) -> str:
        """The environment of a request made with this key.

        Args:
            header: its `x-inngest-env`.

        Raises:
            RequestError: 401, the key does not open that environment; 400, no possible name.
        """
        if not header or header == self.env:
            return self.env
        if not self.branch:
            raise RequestError(401, f"this key does not open the environment {header!r}")
        check_env(header)
        return header

    @property
    def is_limited(self) -> bool:
        """Whether it may send some events only, as a key that is public in a browser should."""
        return bool(self.event_names)

    def seed(self, header: str | None) -> Seed | None:
        """The seed of a request's event ids.

        Repeated with this key, or with one that may send the same, it gives the same ids. A key
        that may send some events only does not choose which ids: it could overwrite others' events.

        Args:
            header: its `x-inngest-event-id-seed`.
        """
        seed = Seed.parse(header)
        if seed is None or not self.is_limited:
            return seed
        return Seed.derived(seed.ms, "limited", seed.header, *sorted(set(self.event_names)))

    def check_names(self, names: Iterable[str]) -> None:
        """Raise RequestError (403) for the first event name that the key may not send."""
        if not self.event_names:
            return
        for index, name in enumerate(names):
            if not any(matches(pattern, name) for pattern in self.event_names):
                raise RequestError(403, f"events[{index}]: this event key may not send {name!r}")


class Keys(Protocol):
    """Where a request's key is looked up, and the environments that keys open."""

    def find(self, kind: Kind, secret: str) -> Key | None:
        """The key with that secret, unless there is none or it is revoked."""

    def open_environment(self, key: Key, env: str) -> None:
        """Let events into an environment that a key opens.

        Raises:
            RequestError: 401, it is another key's; 403, it is archived.
            PlatformError: DynamoDB did not answer.
        """

    def check_environment(self, key: Key, env: str) -> None:
        """Let a key look into an environment, archived or not.

        Raises:
            RequestError: 401, it is another key's.
            PlatformError: DynamoDB did not answer.
        """


@dataclass(frozen=True)
class OpenKeys:
    """Any key will do, for any environment: for a server that only its own machine can reach."""

    env: str

    def find(self, kind: Kind, secret: str) -> Key | None:  # noqa: ARG002
        """A key for everything."""
        return Key(kind, self.env, branch=True)

    def open_environment(self, key: Key, env: str) -> None:
        """Nothing: every environment is there already."""

    def check_environment(self, key: Key, env: str) -> None:
        """Nothing: every environment is anybody's."""


@dataclass(frozen=True)
class StoredKeys:
    """The keys table; a key that was found is remembered for 60 s, so revoking takes that long."""

    table: str
    clock: Clock
    _cache: dict[str, tuple[int, Key]] = field(default_factory=dict)
    _environments: dict[tuple[bool, str], int] = field(default_factory=dict)

    def find(self, kind: Kind, secret: str) -> Key | None:
        """The key with that secret, unless there is none or it is revoked.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        return self._find(kind, _digests(kind, secret))

    def find_by_id(self, kind: Kind, key_id: str) -> Key | None:
        """The key with that id, unless it is revoked.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        return self._find(kind, [key_id])

    def _find(self, kind: Kind, digests: Sequence[str]) -> Key | None:
        # A known key is under one of two digests; the table is asked for neither of them again.
        found = (look(digest) for look in (self._cached, self._stored) for digest in digests)
        return next((key for key in found if key is not None and key.kind == kind), None)

    def _cached(self, digest: str) -> Key | None:
        until_ms, key = self._cache.get(digest, (0, None))
        return key if self.clock.now_ms() < until_ms else None

    def _stored(self, digest: str) -> Key | None:
        until_ms = self.clock.now_ms() + CACHE_MS
        try:
            # Consistently: what is read now is believed for a minute, and no longer than that after
            # the key was revoked.
            found = client("dynamodb").get_item(
                TableName=self.table, Key={"pk": {"S": digest}}, ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the keys could not be read", error) from error
        item = found.get("Item")
        # Sessions are in the same table, and no keys.
        if item is None or "revoked_ms" in item or item["kind"]["S"] not in get_args(Kind):
            return None
        if not hmac.compare_digest(item["pk"]["S"], digest):
            return None
        key = _key_of(item)
        self._note_use(item)
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[digest] = (until_ms, key)
        return key

    def _note_use(self, item: Mapping[str, Any]) -> None:
        """Keep the day on which a key was last used: written by whoever uses it first that day."""
        today = day_of(self.clock.now_ms())
        if "last_used_day" in item and item["last_used_day"]["S"] >= today:
            return
        try:
            client("dynamodb").update_item(
                TableName=self.table,
                Key={"pk": item["pk"]},
                UpdateExpression="SET last_used_day = :today",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":today": {"S": today}},
            )
        except AWS_ERRORS:
            # No request is refused for it, and the next one tries again.
            logger.warning("a key's last use could not be noted", exc_info=True)

    def open_environment(self, key: Key, env: str) -> None:
        """Let events into an environment; one of a branch key is recorded at its first event.

        An environment that branch keys opened may have got keys of its own since: these it refuses,
        too, while it is archived. That it is open is remembered for 60 s, so archiving it takes
        that long.

        Raises:
            RequestError: 401, it is another key's; 403, it is archived.
            PlatformError: DynamoDB did not answer.
        """
        is_own, now_ms = env == key.env, self.clock.now_ms()
        if self._is_known(env, is_own=is_own):
            return
        environments = Environments(self.table, self.clock)
        # Its own was recorded with it.
        found = environments.find(env) if is_own else environments.open(env)
        if found is not None and not is_own:
            _check_unclaimed(found)
        if found is not None and found.archived_ms is not None:
            raise RequestError(
                403, f"the environment {env!r} is archived; `tidegate envs unarchive` opens it"
            )
        self._remember(env, now_ms, is_own=is_own)

    def check_environment(self, key: Key, env: str) -> None:
        """Let a key look into an environment, archived or not; it is recorded by events alone.

        Raises:
            RequestError: 401, it is another key's.
            PlatformError: DynamoDB did not answer.
        """
        now_ms = self.clock.now_ms()
        if env == key.env or self._is_known(env, is_own=False):
            return
        found = Environments(self.table, self.clock).find(env)
        if found is None:
            return
        _check_unclaimed(found)
        if found.archived_ms is None:
            self._remember(env, now_ms, is_own=False)

    def _is_known(self, env: str, *, is_own: bool) -> bool:
        return self.clock.now_ms() < self._environments.get((is_own, env), 0)

    def _remember(self, env: str, asked_ms: int, *, is_own: bool) -> None:
        """That an environment was open, to branch keys or to its own, when that was asked."""
        if len(self._environments) >= _MAX_CACHED:
            self._environments.clear()
        self._environments[is_own, env] = asked_ms + CACHE_MS

    def create(
        self,
        kind: Kind,
        env: str,
        *,
        name: str = "",
        branch: bool = False,
        event_names: Iterable[str] = (),
        replaces: str = "",
    ) -> str:
        """Make a key and store its hash. From then on other keys, branch keys too, do not open its
        environment, unless branch keys have opened that before.

        Args:
            kind: `event` or `signing`.
            env: the environment it belongs to.
            name: what people call it.
            branch: whether it opens branch environments, too.
            event_names: what an event key may send; empty means everything.
            replaces: the id of the key in whose place it is to come, if it is.

        Returns:
            The secret; it is stored nowhere and cannot be shown again.

        Raises:
            ConfigurationError: an environment or event name that cannot be, or event names for a
                signing key.
            PlatformError: DynamoDB did not take it.
        """
        # Only here: Lambdas look keys up and make none.
        from tidegate.trigger import TriggerEvent

        try:
            check_env(env)
            names = [TriggerEvent(event=name).event for name in event_names]
        except RequestError as error:
            raise ConfigurationError(str(error)) from None
        except ValidationError as error:
            # One line, where pydantic's own text has four.
            fault = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise ConfigurationError(f"event names: {fault}") from None
        if kind == "signing" and names:
            raise ConfigurationError("event names: they limit event keys alone")
        if kind == "event":
            secret = secrets.token_urlsafe(32)
        else:
            secret = f"signkey-{'branch' if branch else 'env'}-{secrets.token_hex(32)}"
        item: dict[str, Any] = {
            "pk": {"S": stored_id(kind, secret)},
            "kind": {"S": kind},
            "env": {"S": env},
            "name": {"S": name},
            "branch": {"BOOL": branch},
            "event_names": {"L": [{"S": name} for name in names]},
            "created_ms": {"N": str(self.clock.now_ms())},
        }
        if replaces:
            item["replaces"] = {"S": replaces}
        Environments(self.table, self.clock).claim(env)
        try:
            client("dynamodb").put_item(TableName=self.table, Item=item)
        except AWS_ERRORS as error:
            raise unavailable("the key could not be stored", error) from error
        return secret


def stored_id(kind: Kind, secret: str) -> str:
    """What the table knows the key by that was created with a secret; empty if none can have it."""
    digests = _digests(kind, secret)
    return digests[-1] if digests else ""


def keys_of(settings: Settings, clock: Clock) -> Keys:
    """Where a Lambda with these settings looks keys up.

    Raises:
        ConfigurationError: keys are to be checked, and there is no table of them.
    """
    if settings.auth == "open":
        return OpenKeys(settings.default_env)
    if not settings.keys_table:
        raise ConfigurationError("environment variables are missing: TIDEGATE_KEYS_TABLE")
    return StoredKeys(settings.keys_table, clock)


def check_env(env: str) -> None:
    """Raise RequestError (400) unless the text can name an environment."""
    if not _ENV.match(env):
        raise RequestError(
            400,
            f"the environment name {env!r} is not possible: use 1 to {MAX_ENV_LENGTH} printable "
            "ASCII characters without spaces",
        )


def _check_unclaimed(environment: Environment) -> None:
    """Raise RequestError (401) for an environment that a key was created for."""
    if environment.is_claimed:
        raise RequestError(
            401,
            f"this key does not open the environment {environment.name!r}, which has its own keys",
        )


def _digests(kind: Kind, secret: str) -> list[str]:
    """What a secret may be stored under."""
    if kind == "event":
        return [hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()]
    prefix = _SIGNING_PREFIX.match(secret)
    bare = secret[prefix.end() :] if prefix else secret
    if not _HEX_64.match(bare):
        return []
    hashed = hashlib.sha256(bytes.fromhex(bare)).hexdigest()
    return [_stored_digest(bare), _stored_digest(hashed)]


def _stored_digest(hashed: str) -> str:
    return hashlib.sha256(f"signing:{hashed}".encode()).hexdigest()


def _key_of(item: Mapping[str, Any]) -> Key:
    return Key(
        kind=item["kind"]["S"],
        env=item["env"]["S"],
        branch=item["branch"]["BOOL"],
        event_names=tuple(name["S"] for name in item["event_names"]["L"]),
        id=item["pk"]["S"],
    )
