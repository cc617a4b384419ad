"""A worker that keeps what it was given."""

import os

FUNCTION = os.environ["TIDEGATE_FUNCTION"]
batches = []


def handler(event, context):
    batches.append(event)
    return {
        "function": FUNCTION,
        "lambda": context.function_name,
        "request": context.aws_request_id,
        "left_ms": context.get_remaining_time_in_millis(),
        "batches": len(batches),
    }
