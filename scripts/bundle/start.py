"""Runs the executor from where it was unpacked: `start.py DESCRIPTOR ARGUMENT…`, by the launcher.

Everything is imported through the descriptor of that directory, which was checked and is locked; by its name, the
directory may be another one tomorrow. Nothing of this Python's own packages takes part.
"""

import fcntl
import gc
import os
import sys

held = int(sys.argv.pop(1))
home = fcntl.fcntl(held, fcntl.F_DUPFD_CLOEXEC, 20)  # above those that children are given
os.close(held)
sys.dont_write_bytecode = True  # it is there already; what is unpacked stays as it is
opened = f"/proc/{os.getpid()}/fd/{home}/lib"
sys.path.insert(0, opened if os.path.isdir(opened) else os.path.dirname(os.path.abspath(__file__)) + "/lib")

gc.disable()  # importing makes nothing that is garbage
from executor.main import main  # noqa: E402

gc.enable()

if __name__ == "__main__":
    sys.exit(main())
