"""A GraphQL gateway in front of REST update APIs."""

import sys

# httpx loads its own command line with it, where rich and pygments are installed: 50 ms and 4 MB of every start.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
