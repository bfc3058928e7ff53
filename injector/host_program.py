"""Runs the host program of this checkout.

On other hosts it is one file, which `manage.py host_program` writes.
"""

import os
import sys

# With Python's option -I, the folder is not among those of modules.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Uses the modules, which Python keeps compiled; the one text would be compiled for each call.
from injector.host import store
from injector.host.bundle import build_program
from injector.host.program import main

del sys.path[0]

if __name__ == "__main__":
    store.SOURCE = build_program
    sys.exit(main())
