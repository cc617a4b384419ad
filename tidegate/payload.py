"""Payloads too large for a message or an item: kept in S3, with a pointer in their place."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.errors import DeadLetterError

# One billing unit of SNS and SQS. Above it, S3 is cheaper than DynamoDB's write units, too.
MAX_INLINE_BYTES = 64 * 1024


def is_large(text: str) -> bool:
    """Whether a text is to be kept in S3."""
    return len(text) > MAX_INLINE_BYTES or len(text.encode()) > MAX_INLINE_BYTES


def payload_key(folder: str, env: str, ulid: str) -> str:
    """Where a payload lies in the bucket; derived, so that writing it again is harmless."""
    return f"{folder}/{quote(env, safe='')}/{ulid}.json"


@dataclass(frozen=True)
class PayloadStore:
    """The bucket of payloads; it deletes them when their retention ends."""

    bucket: str

    def put(self, key: str, text: str) -> None:
        """Store a text.

        Raises:
            PlatformError: S3 did not take it.
        """
        try:
            client("s3").put_object(
                Bucket=self.bucket,
                Key=key,
                Body=text.encode(),
                ContentType="application/json",
            )
        except AWS_ERRORS as error:
            raise unavailable("a large payload could not be stored", error) from error

    def get(self, key: str) -> str:
        """The text stored under a key.

        Raises:
            DeadLetterError: it is not there, and will not be.
            PlatformError: S3 did not answer.
        """
        try:
            found = client("s3").get_object(Bucket=self.bucket, Key=key)
            return found["Body"].read().decode()
        except ClientError as error:
            if error_code(error) == "NoSuchKey":
                raise DeadLetterError(f"payload {key} is gone; its retention has ended") from error
            raise unavailable("a large payload could not be read", error) from error
        except AWS_ERRORS as error:
            raise unavailable("a large payload could not be read", error) from error
