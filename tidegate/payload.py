"""Payloads too large for a message or an item: kept in S3, with a pointer in their place."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.errors import DeadLetterError
from tidegate.large import is_large as is_large
from tidegate.large import payload_key as payload_key


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
