"""What AWS charges: list prices of us-east-1 without free tiers or discounts, in one table."""

from __future__ import annotations

import math
from collections.abc import Mapping

# When these prices held; see the pricing page of each service.
AS_OF = "2026-11"

# Dollars for a million of each.
PER_MILLION = {
    # An HTTP API counts each 512 KB of a request.
    "HTTP API request": 1.00,
    "Lambda request": 0.20,
    # arm64: $0.0000133334 a second with 1 GB.
    "Lambda GB-second": 13.3334,
    # On demand. A write unit is 1 KB; a read unit 4 KB, or 8 KB that need not be consistent.
    "DynamoDB write unit": 0.625,
    "DynamoDB read unit": 0.125,
    # Each 64 KB of a call, be it one message or a batch; delivery to SQS is free.
    "SNS publish": 0.50,
    # Each 64 KB of a call, be it one message or a batch; receiving and deleting are calls, too.
    "SQS request": 0.40,
    # Making and deleting schedules is free, firing is not.
    "Scheduler invocation": 1.00,
    "S3 put": 5.00,
    "S3 get": 0.40,
    # A month each.
    "CloudWatch alarm": 100_000.0,
}

_CHUNK_BYTES = 64 * 1024
_HTTP_CHUNK_BYTES = 512 * 1024


def dollars(usage: Mapping[str, float]) -> float:
    """What a usage costs: how much of each thing in `PER_MILLION`."""
    return sum(PER_MILLION[what] * count for what, count in usage.items()) / 1_000_000


def message_chunks(size_bytes: int) -> int:
    """As how many requests SNS and SQS count a call with that much in it."""
    return max(1, math.ceil(size_bytes / _CHUNK_BYTES))


def http_chunks(size_bytes: int) -> int:
    """As how many requests an HTTP API counts one with that much in it."""
    return max(1, math.ceil(size_bytes / _HTTP_CHUNK_BYTES))
