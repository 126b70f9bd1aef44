"""Compiled modules are kept, whatever the environment says: five processes of a run, and each program, load the same.

Imported before all others.
"""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
