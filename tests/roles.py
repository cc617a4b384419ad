"""What the role of each Lambda allows, and what of that the Lambda calls."""

from __future__ import annotations

from tests.handler_calls import QUEUE_NAMES

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
INGEST = {
    "StorageKeys": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "StorageDedup": {"dynamodb:PutItem"},
    "StorageEvents": {"dynamodb:BatchWriteItem", "dynamodb:GetItem"},
    "StorageWaits": {"dynamodb:Query"},
    "StoragePayloads/*": {"s3:PutObject"},
    "Events": {"sns:Publish"},
    "IngestLogs": LOGS,
}
REST_API = {
    "StorageKeys": {
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
    },
    "StorageDedup": {"dynamodb:PutItem"},
    "StorageWaits": {"dynamodb:Query"},
    "StorageEvents": {"dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:Query"},
    "StorageRuns": {
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    },
    "StorageSteps": {"dynamodb:BatchWriteItem", "dynamodb:Query"},
    "StorageJobs": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    },
    "WaitsQueue": {"sqs:SendMessage"},
    QUEUE_NAMES: {"ssm:GetParametersByPath"},
    "Events": {"sns:Publish"},
    "StoragePayloads": {"s3:ListBucket"},
    "StoragePayloads/*": {"s3:GetObject", "s3:PutObject"},
    "RestApiLogs": LOGS,
}
MATCHER = {
    "WaitsQueue": {
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
    },
    QUEUE_NAMES: {"ssm:GetParametersByPath"},
    "StorageWaits": {"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query"},
    "StorageJobs": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    "StorageEvents": {"dynamodb:GetItem", "dynamodb:Query"},
    "StorageRuns": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
    "StorageSteps": {"dynamodb:PutItem"},
    "StoragePayloads": {"s3:ListBucket"},
    "StoragePayloads/*": {"s3:GetObject", "s3:PutObject"},
    "Events": {"sns:Publish"},
    "arn:AWS::Partition:scheduler:AWS::Region:AWS::AccountId:schedule/SchedulesGroup/*": {
        "scheduler:GetSchedule"
    },
    "WaitsMatcherLogs": LOGS,
}

LOOKING = {"sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
# What queues' own policies let roles do: hundreds of queues are too many for a role's policy.
BY_QUEUES = {
    "RestApiRole": {"DeadLetters": LOOKING},
    "WaitsMatcherRole": {
        "DeadLetters": LOOKING | {"sqs:DeleteMessage"},
        "Queue": {"sqs:SendMessage"},
    },
}


def worker(function: str) -> dict[str, set[str]]:
    return {
        f"{function}Queue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        },
        f"{function}DeadLetters": {"sqs:SendMessage"},
        "WaitsQueue": {"sqs:SendMessage"},
        "StorageWaits": {
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
        },
        "StorageRuns": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "StorageSteps": {"dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:Query"},
        "StorageDedup": {"dynamodb:PutItem"},
        "StorageEvents": {"dynamodb:BatchWriteItem", "dynamodb:GetItem"},
        "StoragePayloads": {"s3:ListBucket"},
        "StoragePayloads/*": {"s3:GetObject", "s3:PutObject"},
        "Events": {"sns:Publish"},
        "arn:AWS::Partition:scheduler:AWS::Region:AWS::AccountId:schedule/SchedulesGroup/*": {
            "scheduler:CreateSchedule",
            "scheduler:DeleteSchedule",
            "scheduler:GetSchedule",
        },
        "SchedulesRole": {"iam:PassRole"},
        f"{function}WorkerLogs": LOGS,
    }


def by_queues(role: str) -> dict[str, set[str]]:
    """What queues' policies let a role do, of a function."""
    return {f"Function{queue}": actions for queue, actions in BY_QUEUES[role].items()}


# By handler.
HANDLER_ROLES = {
    "ingest": INGEST,
    "api": REST_API | by_queues("RestApiRole"),
    "matcher": MATCHER | by_queues("WaitsMatcherRole"),
    "worker": worker("Function"),
}

# What no handler calls, and why a role allows it all the same.
WITHOUT_A_CALL = {
    "logs:CreateLogStream": "Lambda writes the logs in the role of the function",
    "logs:PutLogEvents": "Lambda writes the logs in the role of the function",
    "s3:ListBucket": "without it S3 says of an object that is gone that access is denied",
    "iam:PassRole": "asked for by CreateSchedule, which names the role of schedules",
}
# Of the queue that a Lambda reads: Lambda's pollers call in the role of the function.
POLLING = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
READS = {"matcher": "WaitsQueue", "worker": "FunctionQueue"}


def pairs(granted: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The resources and the actions, one by one."""
    return {(resource, action) for resource, actions in granted.items() for action in actions}


def called(handler: str) -> set[tuple[str, str]]:
    """The resources and actions of a role that its handler itself calls."""
    polled = {(READS[handler], action) for action in POLLING} if handler in READS else set()
    allowed = pairs(HANDLER_ROLES[handler]) - polled
    return {one for one in allowed if one[1] not in WITHOUT_A_CALL}
