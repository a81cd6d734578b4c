"""The C library keeps freed memory when asked."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys
import torch
from hnet_cl.core.malloc import keep_freed_memory

def faults(repetitions):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(repetitions):
        torch.empty(10 << 20).fill_(1)  # 40 MB: glibc alone would return blocks of more than 32 MB every time
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
faults(20)  # until the heap has found its place
print(kept, faults(10))
"""


def page_faults(mode: str) -> tuple[str, int]:
    """What keep_freed_memory returned, and the page faults of ten large tensors in a process of its own."""
    command = [sys.executable, "-c", FAULTS, mode]
    kept, faults = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a matter of glibc")
@pytest.mark.slow
def test_large_tensors_cost_page_faults_only_once() -> None:
    (_, usual), (kept, fewer) = page_faults("usual"), page_faults("keep")
    assert kept == "True"
    assert fewer < usual / 10


def test_elsewhere_nothing_changes() -> None:
    code = "import sys; sys.platform = 'other'; from hnet_cl.core.malloc import keep_freed_memory as k; print(k())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
