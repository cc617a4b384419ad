"""Sessions of the dashboard: who logged in with a signing key is known by a cookie afterwards.

They are in the table of keys, under the hash of the cookie's token, so that what is stored opens
nothing. A session names its key and lives as long as that, and no longer than twelve hours.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.clock import Clock
from tidegate.key import Key, StoredKeys

LIFETIME_S = 12 * 3_600
# Browsers take a cookie of this prefix only from its own host, over TLS, for the whole host.
# https://www.rfc-editor.org/rfc/rfc6265#section-4.1.2, and "Cookie Name Prefixes" in RFC 6265bis.
COOKIE = "__Host-tidegate"
_ATTRIBUTES = "Path=/; HttpOnly; Secure; SameSite=Strict"
# The role of the api Lambda may delete under this prefix only, and so no key.
PREFIX = "session#"


@dataclass(frozen=True)
class Session:
    """Somebody who is logged in.

    Attributes:
        token: the secret of the cookie.
        key: the signing key that it was made with.
    """

    token: str
    key: Key

    @property
    def csrf_token(self) -> str:
        """What every change has to carry; a page of another origin cannot know it."""
        return hmac.new(self.token.encode(), b"csrf", hashlib.sha256).hexdigest()

    @property
    def cookie(self) -> str:
        """What sets the cookie."""
        return f"{COOKIE}={self.token}; Max-Age={LIFETIME_S}; {_ATTRIBUTES}"

    def allows(self, csrf_token: str) -> bool:
        """Whether a change that carries this token comes from the dashboard."""
        return hmac.compare_digest(self.csrf_token.encode(), csrf_token.encode())


END_OF_COOKIE = f"{COOKIE}=; Max-Age=0; {_ATTRIBUTES}"


@dataclass(frozen=True)
class Sessions:
    """The sessions of a stage.

    Attributes:
        keys: the signing keys.
        clock: the time.
    """

    keys: StoredKeys
    clock: Clock

    def open(self, secret: str) -> Session | None:
        """A new session for whoever has a signing key; None if that is not one.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        key = self.keys.find("signing", secret)
        if key is None:
            return None
        token = secrets.token_urlsafe(32)
        ends_ms = self.clock.now_ms() + LIFETIME_S * 1000
        item = {
            "pk": {"S": _pk(token)},
            "kind": {"S": "session"},
            "key_id": {"S": key.id},
            "ends_ms": {"N": str(ends_ms)},
            "expires_at": {"N": str(ends_ms // 1000)},
        }
        try:
            client("dynamodb").put_item(TableName=self.keys.table, Item=item)
        except AWS_ERRORS as error:
            raise unavailable("the session could not be stored", error) from error
        return Session(token, key)

    def find(self, cookies: Mapping[str, str]) -> Session | None:
        """The session of a request; None without one, after its end or without its key.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        token = cookies.get(COOKIE)
        if not token:
            return None
        try:
            found = client("dynamodb").get_item(
                TableName=self.keys.table, Key={"pk": {"S": _pk(token)}}, ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the session could not be read", error) from error
        item = found.get("Item")
        # TTL deletes late, so the end is compared here.
        if item is None or int(item["ends_ms"]["N"]) <= self.clock.now_ms():
            return None
        key = self.keys.find_by_id("signing", item["key_id"]["S"])
        return None if key is None else Session(token, key)

    def close(self, session: Session) -> None:
        """Forget a session.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            client("dynamodb").delete_item(
                TableName=self.keys.table, Key={"pk": {"S": _pk(session.token)}}
            )
        except AWS_ERRORS as error:
            raise unavailable("the session could not be ended", error) from error


def _pk(token: str) -> str:
    return PREFIX + hashlib.sha256(token.encode()).hexdigest()
