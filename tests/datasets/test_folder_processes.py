"""Images in processes of their own: one that has less memory than they take, and one that is killed meanwhile."""

import subprocess
import sys
import time
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
given = dict(shuffle_classes=False, tasks=None, keep_remainder=False, seed=1)
tasks = SplitClasses.Settings(name="split", num_tasks=None, classes_per_task=2, **given)
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

TO_BE_KILLED = """
import logging, sys, time
from pathlib import Path
from hnet_cl.datasets import pixel_cache
from hnet_cl.datasets.image_pixels import Form

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
root, pause = Path(sys.argv[1]), float(sys.argv[2])
decode = pixel_cache.decode

def slowly(content, form):
    time.sleep(pause)
    return decode(content, form)

pixel_cache.decode = slowly
names = sorted(path.name for path in root.iterdir())
source = pixel_cache.Source(root, names, Form(1, 8, "crop", None), False, str)
found = pixel_cache.load_pixels(source, root.parent / "cache")
print(found.images[:, 0, 0, 0].tolist())
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


@pytest.mark.slow
def test_a_killed_process_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(200):
        Image.new("L", (8, 8), number).save(tmp_path / "images" / f"{number:03}.png")

    def started(pause: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TO_BE_KILLED, str(tmp_path / "images"), str(pause)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    first = started(0.05)
    while not any(path.stat().st_size for path in tmp_path.glob("cache/*.rows")):
        assert first.poll() is None
        time.sleep(0.02)
    first.kill()
    first.communicate()
    out, _ = started(0).communicate(timeout=120)
    begun, values = out.splitlines()
    assert begun.startswith("Decoding ") and int(begun.split()[1]) in (136, 72), "64 at a time were kept"
    assert values == str(list(range(200)))
