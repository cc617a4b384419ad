"""Keys in the REST API: those of the caller's environment, listed, made, replaced and revoked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic_core import core_schema
from typing_extensions import TypedDict

from tidegate.errors import ConfigurationError, NotFoundError, RequestError
from tidegate.key import Kind
from tidegate.key_records import KeyRecord, KeyRecords
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_field import Field, text
from tidegate.rest_operation import operation

_MAX_NAME = 200
_MAX_EVENT_NAMES = 100


class KeyObject(TypedDict):
    """A key, without its secret.

    Attributes:
        id: what it is called; it opens nothing.
        kind: `event` to send, `signing` to look and act.
        environment: the environment it belongs to.
        branch: whether it opens branch environments, too, which `x-inngest-env` names.
        name: what people call it.
        event_names: the names, or wildcards, that it may send; empty means everything.
        last_used: the day (UTC) on which it was last used; null if it never was.
        revoked_at: since when it is revoked; null while it is valid.
        replaces: the id of the key in whose place it came; null if it came in none's.
    """

    id: str
    kind: Literal["event", "signing"]
    environment: str
    branch: bool
    name: str
    event_names: list[str]
    created_at: Time
    last_used: str | None
    revoked_at: Time | None
    replaces: str | None


class CreatedKeyObject(KeyObject):
    """A new key.

    Attributes:
        secret: the key itself; it is stored nowhere and cannot be shown again.
    """

    secret: str


class KeyBody(TypedDict):
    """What the key is for."""

    kind: Annotated[
        str,
        Field(
            "`event` to send, `signing` to look and act",
            core_schema.literal_schema(["event", "signing"]),
            {"type": "string", "enum": ["event", "signing"]},
        ),
    ]
    name: NotRequired[Annotated[str, text("What people call it", max_length=_MAX_NAME)]]
    event_names: NotRequired[
        Annotated[
            list[str],
            Field(
                "The names, or wildcards, that an event key may send; everything without",
                core_schema.list_schema(core_schema.str_schema(), max_length=_MAX_EVENT_NAMES),
                {"type": "array", "items": {"type": "string"}, "maxItems": _MAX_EVENT_NAMES},
            ),
        ]
    ]


@dataclass(frozen=True)
class KeyEndpoints:
    """What looks after keys.

    Attributes:
        records: the keys.
    """

    records: KeyRecords

    @operation("GET", "/v1/keys", list[KeyObject], tag="Keys")
    def list_keys(self, call: Call) -> Result:
        """The keys of this environment, the oldest first; revoked ones, too."""
        return Result([_object(record) for record in self.records.all(call.env)])

    @operation("POST", "/v1/keys", CreatedKeyObject, tag="Keys", body=KeyBody, status=201)
    def create_key(self, call: Call) -> Result:
        """Make a key of this environment; the answer alone has its secret."""
        body = parse_body(KeyBody, call.body)
        kind: Kind = "event" if body["kind"] == "event" else "signing"
        if call.env != call.key.env:
            # It stays one of branch keys.
            self.records.keys.open_environment(call.key, call.env)
        try:
            secret = self.records.keys.create(
                kind,
                call.env,
                name=body.get("name") or "",
                event_names=body.get("event_names") or (),
            )
        except ConfigurationError as error:
            raise RequestError(400, str(error)) from None
        return self._created(kind, secret)

    @operation(
        "POST",
        "/v1/keys/<key_id>/rotate",
        CreatedKeyObject,
        tag="Keys",
        status=201,
        refusals={409: "the key is revoked"},
    )
    def rotate_key(self, call: Call) -> Result:
        """Make a key that opens what another one does, which stays valid until it is revoked."""
        old = self._asked(call)
        if old.revoked_ms is not None:
            raise RequestError(409, f"key {old.id} is revoked; create a new one instead")
        try:
            secret = self.records.rotate(old.pk, call.env)
        except ConfigurationError as error:
            # It was revoked just now.
            raise RequestError(409, str(error)) from None
        return self._created(old.kind, secret)

    @operation("DELETE", "/v1/keys/<key_id>", KeyObject, tag="Keys")
    def revoke_key(self, call: Call) -> Result:
        """Revoke a key: within 60 seconds it opens nothing."""
        return Result(_object(self.records.revoke(self._asked(call).pk, call.env)))

    def _asked(self, call: Call) -> KeyRecord:
        try:
            record = self.records.find(call.path["key_id"], call.env)
        except NotFoundError:
            raise RequestError(404, "Key not found; see GET /v1/keys") from None
        except ConfigurationError as error:
            raise RequestError(400, str(error)) from None
        # Its successor would open environments that the caller's key does not.
        if record.branch and not call.key.branch:
            raise RequestError(403, f"key {record.id} opens branch environments, yours does not")
        return record

    def _created(self, kind: Kind, secret: str) -> Result:
        data = {**_object(self.records.of_secret(kind, secret)), "secret": secret}
        return Result(data, status=201)


def _object(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.kind,
        "environment": record.env,
        "branch": record.branch,
        "name": record.name,
        "event_names": list(record.event_names),
        "created_at": rfc3339(record.created_ms),
        "last_used": record.last_used_day,
        "revoked_at": None if record.revoked_ms is None else rfc3339(record.revoked_ms),
        "replaces": record.replaces or None,
    }
