"""Keys as people look after them: listed, revoked, and replaced without an event being lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.environments import items_of_kind
from tidegate.errors import ConfigurationError, NotFoundError
from tidegate.key import Kind, StoredKeys, stored_id

# Enough of a hash to tell the keys of a stage apart.
_ID_LENGTH = 12


@dataclass(frozen=True)
class KeyRecord:
    """What is stored of a key. Its secret is not.

    Attributes:
        pk: the hash that it is stored under.
        kind: `event` or `signing`.
        env: the environment it belongs to.
        name: what people call it.
        branch: whether it opens branch environments, too, which `x-inngest-env` names.
        event_names: what it may send; empty means everything.
        created_ms: when it was created, UTC ms.
        last_used_day: the day (UTC) on which it was last used, if it was.
        revoked_ms: since when it is revoked, if it is.
        replaces: the id of the key in whose place it came, or empty.
    """

    pk: str
    kind: Kind
    env: str
    name: str
    branch: bool
    event_names: tuple[str, ...]
    created_ms: int
    last_used_day: str | None = None
    revoked_ms: int | None = None
    replaces: str = ""

    @property
    def id(self) -> str:
        """What it is called in commands; it opens nothing."""
        return self.pk[:_ID_LENGTH]


@dataclass(frozen=True)
class KeyRecords:
    """The keys of a stage.

    Attributes:
        keys: where they are.
    """

    keys: StoredKeys

    def all(self, env: str | None = None) -> list[KeyRecord]:
        """All keys, or those of an environment, the oldest first; revoked ones, too.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        found = [_record_of(item) for item in items_of_kind(self.keys.table, *get_args(Kind))]
        mine = [record for record in found if env is None or record.env == env]
        return sorted(mine, key=lambda record: (record.created_ms, record.pk))

    def find(self, key_id: str, env: str | None = None) -> KeyRecord:
        """The key with an id, or with the beginning of one.

        Raises:
            NotFoundError: there is none.
            ConfigurationError: there are several.
            PlatformError: DynamoDB did not answer.
        """
        found = [one for one in self.all(env) if key_id and one.pk.startswith(key_id.lower())]
        if not found:
            raise NotFoundError(f"no key has the id {key_id!r}; `tidegate keys list` has all")
        if len(found) > 1:
            ids = ", ".join(one.pk[: _ID_LENGTH * 2] for one in found)
            raise ConfigurationError(f"several keys begin with {key_id!r}: {ids}")
        return found[0]

    def of_secret(self, kind: Kind, secret: str) -> KeyRecord:
        """The key that was just created with a secret.

        Raises:
            NotFoundError: there is none.
            PlatformError: DynamoDB did not answer.
        """
        # Not as one is looked up that opens something: that would count as its first use.
        return self.find(stored_id(kind, secret))

    def revoke(self, key_id: str, env: str | None = None) -> KeyRecord:
        """Revoke a key: within 60 s it opens nothing. Doing it again changes nothing.

        Raises:
            NotFoundError, ConfigurationError: as `find`.
            PlatformError: DynamoDB did not answer.
        """
        record = self.find(key_id, env)
        try:
            answer: Any = client("dynamodb").update_item(
                TableName=self.keys.table,
                Key={"pk": {"S": record.pk}},
                UpdateExpression="SET revoked_ms = if_not_exists(revoked_ms, :now)",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":now": {"N": str(self.keys.clock.now_ms())}},
                ReturnValues="ALL_NEW",
            )
        except AWS_ERRORS as error:
            raise unavailable("the key could not be revoked", error) from error
        return _record_of(answer["Attributes"])

    def rotate(self, key_id: str, env: str | None = None) -> str:
        """A new key like another, which stays valid until it is revoked.

        Returns:
            The new secret; it is stored nowhere and cannot be shown again.

        Raises:
            NotFoundError, ConfigurationError: as `find`; or the key is revoked.
            PlatformError: DynamoDB did not answer.
        """
        old = self.find(key_id, env)
        if old.revoked_ms is not None:
            raise ConfigurationError(f"key {old.id} is revoked; create a new one instead")
        return self.keys.create(
            old.kind,
            old.env,
            name=old.name,
            branch=old.branch,
            event_names=old.event_names,
            replaces=old.id,
        )


def _record_of(item: Mapping[str, Any]) -> KeyRecord:
    def text(name: str) -> str | None:
        return str(item[name]["S"]) if name in item else None

    return KeyRecord(
        pk=item["pk"]["S"],
        kind=item["kind"]["S"],
        env=item["env"]["S"],
        name=text("name") or "",
        branch=item["branch"]["BOOL"],
        event_names=tuple(name["S"] for name in item["event_names"]["L"]),
        created_ms=int(item["created_ms"]["N"]),
        last_used_day=text("last_used_day"),
        revoked_ms=int(item["revoked_ms"]["N"]) if "revoked_ms" in item else None,
        replaces=text("replaces") or "",
    )
