"""What somebody should be told about: each alarm is explained in docs/operations.md.

CloudWatch charges for each metric that an alarm looks at, also where one alarm looks at ten. So
there are few for each function, and of Lambdas the sums of the whole account and region, which
CloudWatch keeps anyway, unless a stage wants them one by one.
"""

from __future__ import annotations

from aws_cdk import Duration, NestedStack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_cloudwatch_actions import SnsAction
from constructs import Construct

from tidegate.manifest import FunctionManifest
from tidegate_cdk.config import Config
from tidegate_cdk.metrics import of_all_lambdas, of_api, of_function, percent

# The longest that a queue delays a message.
LONGEST_DELAY_S = 900

SLOW_MS = 3_000
# Shares are of sums over so long: with one request in two minutes, or a message that comes again
# after ten, no minute is like the one before it.
SHARE_MINUTES = 5
SERVER_ERRORS_PERCENT = 1
ERRORS_PERCENT = 5
FAILED_PERCENT = 20
# Also of a function that seldom runs somebody should know.
FAILED_MINUTES = 15


class Alarms:
    """Makes alarms, as many as a stage wants, that notify its topic.

    Args:
        config: the choices for the stage.
        topic: what they notify, if anything.
    """

    def __init__(self, config: Config, topic: sns.ITopic | None) -> None:
        self._config = config
        self._level = config.alarms
        self._topic = topic
        self._of_functions: Construct | None = None

    def beside(self, scope: Construct) -> Alarms:
        """The same, for functions in a stack.

        Where a stage wants alarms on each of them, these are in a stack that is nested in it: it is
        as full as it may be without.

        Args:
            scope: where the functions are made.
        """
        alarms = Alarms(self._config, self._topic)
        if self._level == "all":
            alarms._of_functions = NestedStack(scope, "FunctionAlarms", description="Alarms")
        return alarms

    def of_queue(
        self,
        scope: Construct,
        *,
        name: str,
        visibility_timeout_s: int,
        queue: sqs.Queue,
        dead_letters: sqs.Queue,
    ) -> None:
        """The alarms on a queue and its dead-letter queue.

        A message may be as old as the longest delay and one redelivery after a crash. One that is
        older waits because the workers do not keep up, or cannot run at all.

        Args:
            scope: where they belong.
            name: whose queues they are.
            visibility_timeout_s: after which a message comes again, in seconds.
            queue: what its worker reads.
            dead_letters: where messages go that it failed on too often.
        """
        if self._level == "none":
            return
        within = Construct(scope, "Alarms")
        self._add(
            within,
            "DeadLetters",
            f"{name}: events were given up on; see its dead-letter queue",
            dead_letters.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            above=0,
        )
        oldest_s = LONGEST_DELAY_S + visibility_timeout_s
        self._add(
            within,
            "Age",
            f"{name}: an event has waited for more than {oldest_s} seconds",
            queue.metric_approximate_age_of_oldest_message(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            above=oldest_s,
            minutes=5,
        )

    def of_function(self, function: FunctionManifest, worker: lambda_.Function) -> None:
        """The alarms on a function's Lambda and its runs, where a stage wants them one by one."""
        if self._of_functions is not None:
            within = Construct(self._of_functions, function.id)
            self.of_lambda(within, name=function.id, function=worker)
            if not function.is_removed:
                self._of_runs(within, function.id)

    def of_lambda(self, scope: Construct, *, name: str, function: lambda_.Function) -> None:
        """The alarm on a Lambda's errors and throttles, where a stage wants them one by one."""
        if self._level != "all":
            return
        period = Duration.minutes(SHARE_MINUTES)
        self._add(
            scope,
            "Failing",
            f"{name}: more than {ERRORS_PERCENT} % of invocations end in errors or are throttled",
            percent(
                ["errors", "throttles"],
                ["invocations", "throttles"],
                SHARE_MINUTES,
                errors=function.metric_errors(period=period),
                throttles=function.metric_throttles(period=period),
                invocations=function.metric_invocations(period=period),
            ),
            above=ERRORS_PERCENT,
        )

    def _of_runs(self, scope: Construct, function_id: str) -> None:
        if self._config.metrics == "off":
            return
        stage = self._config.stage
        counted = {
            word: of_function(stage, function_id, f"Runs{word.capitalize()}", FAILED_MINUTES)
            for word in ("completed", "failed")
        }
        self._add(
            scope,
            "FailedRuns",
            f"{function_id}: of the runs that ended in {FAILED_MINUTES} minutes more than "
            f"{FAILED_PERCENT} % failed for good",
            percent(["failed"], ["completed", "failed"], FAILED_MINUTES, **counted),
            above=FAILED_PERCENT,
        )

    def of_stage(self, scope: Construct, *, api_id: str) -> None:
        """The alarms on what all functions share.

        Args:
            scope: where they belong.
            api_id: the HTTP API.
        """
        if self._level == "none":
            return
        within = Construct(scope, "StageAlarms")
        self._add(
            within,
            "ServerErrors",
            f"more than {SERVER_ERRORS_PERCENT} % of requests are answered with 5xx",
            percent(
                ["errors"],
                ["requests"],
                SHARE_MINUTES,
                errors=of_api(api_id, "5xx", minutes=SHARE_MINUTES),
                requests=of_api(api_id, "Count", minutes=SHARE_MINUTES),
            ),
            above=SERVER_ERRORS_PERCENT,
        )
        self._add(
            within,
            "Latency",
            f"one request in a hundred takes longer than {SLOW_MS} ms",
            of_api(api_id, "Latency", "p99"),
            above=SLOW_MS,
            minutes=5,
        )
        self._add(
            within,
            "Errors",
            f"more than {ERRORS_PERCENT} % of the invocations of Lambdas of this account and "
            "region end in errors",
            percent(
                ["errors"],
                ["invocations"],
                SHARE_MINUTES,
                errors=of_all_lambdas("Errors", SHARE_MINUTES),
                invocations=of_all_lambdas("Invocations", SHARE_MINUTES),
            ),
            above=ERRORS_PERCENT,
        )
        self._add(
            within,
            "Throttles",
            "Lambdas of this account and region are throttled: its concurrency is used up",
            of_all_lambdas("Throttles"),
            above=0,
            minutes=3,
        )

    def _add(
        self,
        scope: Construct,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        above: int,
        minutes: int = 1,
    ) -> None:
        alarm = cloudwatch.Alarm(
            scope,
            name,
            alarm_description=description,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=minutes,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        if self._topic is not None:
            alarm.add_alarm_action(SnsAction(self._topic))
            alarm.add_ok_action(SnsAction(self._topic))
