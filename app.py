"""The CDK app: `cdk deploy` runs this, as `cdk.json` says."""

import sys

from tidegate.errors import ConfigurationError
from tidegate_cdk.deployment import synthesise

if __name__ == "__main__":
    try:
        synthesise()
    except ConfigurationError as error:
        sys.exit(f"tidegate: {error}")
