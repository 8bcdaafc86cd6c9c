"""Memory that is freed stays with the process that will need it again, and with no other."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

RESIDENT = """
import numpy as np
from speclens.run.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
arrays = [np.ones(1 << 21) for _ in range(10)]
del arrays
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)
def test_what_is_freed_is_kept_where_that_is_asked_for() -> None:
    megabytes = [
        int(subprocess.check_output([sys.executable, "-c", RESIDENT.format(keep=keep)])) / 1024
        for keep in (False, True)
    ]
    assert megabytes[1] > megabytes[0] + 100
