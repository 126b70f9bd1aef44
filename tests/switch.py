"""Whether the suite's gateways run operations compiled. `TESTS_COMPILED=false pytest` runs all of it by graphql-core."""

from __future__ import annotations

import os

COMPILED = os.environ.get("TESTS_COMPILED", "true") != "false"
SETTING = {} if COMPILED else {"GATEWAY_COMPILED": "false"}
