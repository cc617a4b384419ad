"""Who may reach dead letters, and where their queues are written down.

The REST API looks at the dead letters of all functions, and the matcher sends them back. No role
has room for the names of hundreds of queues, so each queue's own policy names the two roles, which
is as good within an account:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from tidegate.queue_directory import MATCHER, parameters

_LOOK = ("sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")


@dataclass(frozen=True)
class QueuePair:
    """A function's queues, or the matcher's.

    Attributes:
        function_id: the function, or `matcher`.
        queue: what its worker reads.
        dead_letters: where messages go that were given up on.
    """

    function_id: str
    queue: sqs.Queue
    dead_letters: sqs.Queue


@dataclass(frozen=True)
class DeadLetterAccess:
    """The Lambdas that reach dead letters.

    Attributes:
        looks: the REST API.
        redrives: the matcher.
    """

    looks: lambda_.Function
    redrives: lambda_.Function

    def let(self, pair: QueuePair) -> None:
        """Let them reach those of a function."""
        _allow(pair.dead_letters, self.looks, *_LOOK)
        _allow(pair.dead_letters, self.redrives, *_LOOK, "sqs:DeleteMessage")
        if pair.function_id != MATCHER:
            # The matcher may send to its own queue anyway.
            _allow(pair.queue, self.redrives, "sqs:SendMessage")


def queues_path(stack_name: str) -> str:
    """Where Parameter Store has the names of a stage's queues."""
    return f"/tidegate/{stack_name}/queues"


def write_queue_names(scope: Construct, path: str, number: int, pairs: Sequence[QueuePair]) -> None:
    """Write down the queues of a stack's functions, in as many parameters as it takes.

    Args:
        scope: where they belong.
        path: where the stage's parameters are.
        number: the stack's.
        pairs: the queues.
    """
    names = {
        pair.function_id: [pair.queue.queue_name, pair.dead_letters.queue_name] for pair in pairs
    }
    for index, (name, ids) in enumerate(parameters(path, number, list(names)).items()):
        ssm.StringParameter(
            scope,
            f"QueueNames{index}",
            parameter_name=name,
            description="The queue and the dead-letter queue of each function",
            string_value=Stack.of(scope).to_json_string({one: names[one] for one in ids}),
        )


def _allow(queue: sqs.Queue, function: lambda_.Function, *actions: str) -> None:
    queue.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[function.grant_principal],
            actions=list(actions),
            resources=[queue.queue_arn],
        )
    )
