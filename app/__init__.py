"""A GraphQL gateway in front of REST update APIs."""

import sys
from types import ModuleType

# httpx and uvicorn load their own command lines with them, with rich and pygments, click and multiprocessing: a tenth
# of a second and 5 MB of every start.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
if "uvicorn" not in sys.modules:
    sys.modules["uvicorn.main"] = ModuleType("uvicorn.main")
    vars(sys.modules["uvicorn.main"]).update(Server=None, main=None, run=None)
