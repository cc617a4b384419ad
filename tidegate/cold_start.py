"""A Lambda's cold start: what is imported stays, so nobody looks for garbage meanwhile.

A handler imports this before all else, and `tidegate.aws.make_clients`, its last line, ends it.
Looking through what was loaded so far, again and again, would be a tenth of the start.
"""

from __future__ import annotations

import gc

gc.disable()
