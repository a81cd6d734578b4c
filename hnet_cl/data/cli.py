"""The command line. Imports nothing heavy before the arguments are read."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hnet_cl.config.arguments import flags_last, is_set, refuse_long_numbers
from hnet_cl.config.composing import compose_job
from hnet_cl.config.conf_files import own_folders
from hnet_cl.config.messages import explain
from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError

EXIT_USER_ERROR = 2
OUTPUT = "output="
HELP = """\
hnet_cl.data: the tasks of a benchmark, without training

usage: python -m hnet_cl.data [CHOICE=NAME ...] [KEY=VALUE ...] [output=FILE] [--config-dir=DIR]

Takes the same words as python -m hnet_cl, and checks them in the same way. It prints sizes, class names and class
balance of all tasks, and draws one training image of each class of each task into a PNG file: OUTPUT_DIR/BENCHMARK.png,
or output=FILE. Pixels that a benchmark permutes are back in their places there; of many tasks or classes only the first
are drawn, and of inputs that are no images none. No run folder is written.

Exit code: 0; 2 if something is wrong, which one line says.

Examples
  python -m hnet_cl.data benchmark=smnist
  python -m hnet_cl.data benchmark=split dataset=cifar100 'benchmark.classes_per_task=[50,20,30]'
  python -m hnet_cl.data benchmark=domains 'dataset=[mnist,fashion_mnist]' output=tasks.png"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints and draws the tasks that the command-line arguments ask for; None stands for those of the process.

    Raises:
        SystemExit: with code 2, after a line for each mistake, for an error that the user can mend.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return
    if data_dir := os.environ.get("HNET_CL_DATA"):
        os.environ["HNET_CL_DATA"] = at_home(data_dir)
    try:
        _show(arguments)
    except (UserError, OSError) as error:
        if is_set("debug", arguments):
            traceback.print_exception(error)
        print(f"hnet_cl.data: {explain(error, arguments)}", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None


def _show(arguments: Sequence[str]) -> None:
    refuse_long_numbers(arguments)
    given = flags_last(arguments)
    folders = own_folders(given)
    words = [word for word in given if not word.startswith(("--config-dir", OUTPUT))]
    output = [word.removeprefix(OUTPUT) for word in given if word.startswith(OUTPUT)]
    if output and not output[-1].strip():
        raise UserError("output=: is empty; give a file, as output=tasks.png")
    job = compose_job(words, folders[-1] if folders else None)
    from hnet_cl.data.showing import show  # torch takes seconds

    show(job.settings, Path(at_home(output[-1])) if output else None)
