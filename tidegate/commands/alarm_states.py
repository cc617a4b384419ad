"""The alarms of a stack, as CloudWatch tells whoever has credentials for the account."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

# What CloudFormation puts behind a stack's name: the name that the template has for an alarm, and
# twelve or more letters and digits of its own; before both the same of each nested stack. The names
# of another stage's stack may begin as this one's does.
_OWN = re.compile(r"(?:[A-Za-z0-9]+-[A-Za-z0-9]{12,}-)*[A-Za-z0-9]+-[A-Za-z0-9]{12,}")


@dataclass(frozen=True)
class Alarms:
    """How the alarms of a stack stand.

    Attributes:
        count: how many there are.
        ringing: the names of those that are in alarm.
        region: where was looked.
        unknown: why it is not known, if it is not.
    """

    count: int = 0
    ringing: tuple[str, ...] = ()
    region: str = ""
    unknown: str = ""

    @classmethod
    def of_stack(cls, stack: str) -> Alarms:
        """Those whose names CloudFormation began with a stack's.

        Args:
            stack: its name, such as `Tidegate-production`.
        """
        # Only here: no other command needs AWS.
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        # The CDK goes by AWS_REGION, boto3 by AWS_DEFAULT_REGION.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        try:
            cloudwatch = boto3.client("cloudwatch", region_name=region)
            pages = cloudwatch.get_paginator("describe_alarms").paginate(
                AlarmNamePrefix=f"{stack}-", AlarmTypes=["MetricAlarm"]
            )
            found = [alarm for page in pages for alarm in page["MetricAlarms"]]
        except (BotoCoreError, ClientError) as error:
            return cls(unknown=f"CloudWatch cannot be asked: {error}")
        alarms = [
            one for one in found if _OWN.fullmatch(one["AlarmName"].removeprefix(f"{stack}-"))
        ]
        ringing = tuple(a["AlarmName"] for a in alarms if a["StateValue"] == "ALARM")
        return cls(len(alarms), ringing, cloudwatch.meta.region_name)
