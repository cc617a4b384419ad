"""The CDK app: `cdk deploy` runs this, as `cdk.json` says."""

import sys

import tidegate_cdk
from aws_cdk import App, Stack
from tidegate import ConfigurationError

app = App()
try:
    # `dev`, unless `-c stage=…` says otherwise.
    stage = tidegate_cdk.chosen_stage(app)
    stack = Stack(app, f"Tidegate-{stage}")
    tidegate_cdk.EventPlatform(stack, "Events", functions="my_app", stage=stage)
except ConfigurationError as error:
    sys.exit(f"tidegate: {error}")
app.synth()
