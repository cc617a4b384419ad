"""What lets topics tell X-Ray of what they deliver."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_xray as xray
from constructs import Construct


def let_topics_trace(scope: Construct) -> None:
    """Let SNS send segments for the topics of a stack, and of those that are nested in it.

    See https://docs.aws.amazon.com/sns/latest/dg/sns-active-tracing.html. An account may have five
    such policies in a region.

    Args:
        scope: the stage; CloudFormation begins the names of its topics with that of its stack.
    """
    stack = Stack.of(scope)
    topics = stack.format_arn(service="sns", resource=f"{stack.stack_name}-*")
    xray.CfnResourcePolicy(
        scope,
        "TopicsTrace",
        policy_name=f"{stack.stack_name}-topics",
        policy_document=stack.to_json_string(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "sns.amazonaws.com"},
                        "Action": [
                            "xray:GetSamplingRules",
                            "xray:GetSamplingTargets",
                            "xray:PutTraceSegments",
                        ],
                        "Resource": "*",
                        "Condition": {
                            "StringEquals": {"aws:SourceAccount": stack.account},
                            "StringLike": {"aws:SourceArn": topics},
                        },
                    }
                ],
            }
        ),
    )
