"""The CDK app: `cdk deploy` runs this, as `cdk.json` says."""

import sys

import tidegate_cdk  # Before the CDK, so that it runs on the Node that came along.
from aws_cdk import App, Stack
from tidegate.errors import ConfigurationError

app = App()
try:
    stage = tidegate_cdk.chosen_stage(app)
    stack = Stack(app, f"Tidegate-{stage}", description=f"Tidegate, {stage}")
    tidegate_cdk.EventPlatform(stack, "Default", functions="functions.shop", stage=stage)
except ConfigurationError as error:
    sys.exit(f"tidegate: {error}")
app.synth()
