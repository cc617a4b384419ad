"""The CDK app: `cdk deploy` runs this, as `cdk.json` says."""

import sys

from infra.deployment import synthesise
from tidegate.errors import ConfigurationError

if __name__ == "__main__":
    try:
        synthesise()
    except ConfigurationError as error:
        sys.exit(f"tidegate: {error}")
