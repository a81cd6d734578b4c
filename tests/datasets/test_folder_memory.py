"""Images that take more memory than there is: they are decoded and learned from all the same."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SIDE, NUMBER = 1024, 320  # 320 MiB of pixels
PROGRAM = f"""
import resource, sys
from pathlib import Path
import numpy as np, torch
from hnet_cl.benchmarks.split import SplitClasses
from hnet_cl.datasets.folder import ImageFolder

torch.set_num_threads(1)
root = Path(sys.argv[1])
usual = dict(name="folder", csv=None, channels=1, fit="crop", background=None, unreadable="error", augment="none")
data = ImageFolder.Settings(root=str(root), size={SIDE}, test_share=0.5, seed=1, **usual)
tasks = SplitClasses.Settings(name="split", num_tasks=None, classes_per_task=2, shuffle_classes=False, seed=1)
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + (200 << 20),) * 2)
try:
    np.ones({NUMBER} << 20, np.uint8)
except MemoryError:
    print("so much does not fit")
for _ in range(2):  # decoded, and from the cache
    benchmark = SplitClasses(tasks, ImageFolder(data, root.parent / "data"), torch.device("cpu"))
    total = 0.0
    for task in benchmark.tasks:
        for split in (task.train, task.test):
            for index in torch.randperm(len(split)).split(4):
                inputs, labels = split.batch(index)
                total += inputs.mean((1, 2, 3)).double().sum().item()
    print(round(255 * total))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux counts its memory like this")
def test_more_images_than_memory(tmp_path: Path) -> None:
    for number in range(NUMBER):
        path = tmp_path / "mine" / f"{number % 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number % 256).save(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "mine")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    expected = str(sum(number % 256 for number in range(NUMBER)))
    assert done.stdout.split("\n") == ["so much does not fit", expected, expected, ""]
