"""The command line. Imports nothing heavy before the arguments are parsed."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hnet_cl.plane.options import EXAMPLE, EXAMPLES, POINTS, parse
from hnet_cl.predict.cli import ending

HELP = f"""\
hnet_cl.plane: how well the networks do a task that a hypernetwork generates all over the plane of task embeddings

usage: python -m hnet_cl.plane run=FOLDER output=FOLDER [KEY=VALUE ...]

  run=FOLDER      the folder of a finished run whose hypernetwork generates the network that answers (hnet, hnet_ent,
                  hnet_tir, hint, hypermask), with task embeddings of two numbers or more
  output=FOLDER   embedding_plane.png, .svg, .pdf (the figure) and .csv (its numbers) are written there
  tasks=A,B,...   the tasks, from 1, that are tested, a panel for each (default: the first and the last)
  points=N        points along each axis (default: {POINTS})
  examples=N      test examples of a task; of more, so many are drawn (default: {EXAMPLES}, for a standard error of at
                  most one point)
  data_dir=DIR    the folder of the data files (default: the run's)
  device=NAME     cpu (default) or cuda, also if the run used the other
  width=NAME      as wide as a column (3.25 in) or a page (6.75 in) of a paper
  style=NAME      text for a paper (8 pt) or a talk (14 pt)
  trust=PACKAGE   packages or modules, with commas between, whose classes the run may use besides those of hnet_cl;
                  importing them runs their code, so trust nobody's but your own

The colour of a point is the accuracy, on a task's test examples, of the network that is generated at that point, among
the classes of this task: the task is given, whatever the scenario. Discs are the embeddings of all tasks as they are
after the last one. With method.hypernet.task_embedding=2 the plane is the whole space. Larger embeddings are
projected onto their first two principal components; the plane of a panel then lies parallel to these, through the
embedding of its own task, so that only this one lies in it.

Columns of the table: test_task; embedding_of (the task of the embedding; empty for a point of the grid); x, y;
accuracy (a fraction); examples (test examples).

Exit code: 0; 2 if nothing could be done, which one line says.

Example
  {EXAMPLE}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws a plane as the command-line arguments say; None stands for those of the process.

    Raises:
        SystemExit: with code 2 if nothing could be done (see `HELP`).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return
    with ending("hnet_cl.plane"):
        options = parse(arguments)
        from hnet_cl.plane.output import write_plane  # torch takes seconds

        if options.trusted:  # not earlier: torch looks for optional packages
            sys.path.append(str(Path.cwd()))

        write_plane(options)
        sys.stdout.flush()
