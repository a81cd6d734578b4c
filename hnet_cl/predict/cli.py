"""The command line. Imports nothing heavy before the arguments are parsed."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import printable
from hnet_cl.predict.options import EXAMPLE, parse

EXIT_UNUSABLE = 1
EXIT_USER_ERROR = 2

LONGEST = 1000  # characters of a line; a damaged or forged file may have put anything into it
HELP = f"""\
hnet_cl.predict: a finished run classifies images

usage: python -m hnet_cl.predict run=FOLDER input=PATH [KEY=VALUE ...]

  run=FOLDER      a run folder, or the result.json in it; the data that the run learned from are not needed
  input=PATH      what to classify; may be given several times, or as PATH,PATH
                    a PNG or JPEG file, or a folder of them (sorted by name, no folders inside it)
                    a .npy file, or a .pt file of one tensor: images uint8 (n, height, width), also with 1 or 3
                    channels after n or at the end, or network inputs as floating-point numbers (n, ...)
                  or input=test: the test set of the run's benchmark, each example as in the run's own tests; three
                    columns more (true_label, true_task, correct), and at the end the accuracy of each task, the
                    calibration error and which class was taken for which (a file of this name is ./test)
  task=NUMBER     the task to answer for, from 1; needed where the scenario tells it, else it is inferred
  output=FILE     write the CSV there instead of printing it
  batch_size=N    inputs at a time (default: the run's training.eval_batch_size); changes no result
  data_dir=DIR    with input=test: the folder of the data files (default: the run's)
  task_inference=RULE
                  with input=test: infer tasks by entropy, max_logit, energy, agreement or entropy_gradient instead of
                    the run's own rule, without training again
  images_per_decision=N
                  with input=test: each N images of a task decide together on their task; another, easier protocol
  device=NAME     cpu (default) or cuda, also if the run used the other
  trust=PACKAGE   packages or modules, with commas between, whose classes the run may use besides those of hnet_cl;
                    importing them runs their code, so trust nobody's but your own. They are looked for where Python
                    looks for packages, and after that in the working directory

Columns: file (FILE[i] for entry i of an array), label, task, confidence (the softmax probability of the label among
those that were possible) and, where the task is inferred, task_score, which says how surely, by the rule that the run
was trained with: method/task_inference=entropy: the entropy in nats of the inferred task's network, small if sure;
max_logit, energy, agreement and entropy_gradient: a score, small if sure; classifier: the probability that the task
classifier gives the task, large if sure. The task is the one given or inferred, or else the one that the label belongs
to.

Images must have the right size. Where networks see grey images, colours become grey (luma of ITU-R 601), and the
other way round the channels become equal. Of permuted MNIST, a digit of 28 x 28 pixels is put into the order of the
given task; without task=NUMBER, images must have their pixels permuted already.

Exit code: 0; 1 if some inputs could not be used (a line each, the rest goes on); 2 if nothing could be done.

Examples
  {EXAMPLE}
  python -m hnet_cl.predict run=outputs/smnist-cl3-hnet_ent/1a2b3c4d/seed=1 input=a.png,b.png output=answers.csv"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Classifies files as the command-line arguments say; None stands for those of the process.

    Raises:
        SystemExit: with code 1 if some inputs could not be used, 2 if nothing could be done (see `HELP`).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return
    with ending("hnet_cl.predict"):
        options = parse(arguments)
        from hnet_cl.predict.classify import classify  # torch takes seconds

        if options.trusted:  # not earlier: torch looks for optional packages
            sys.path.append(str(Path.cwd()))

        unusable = classify(options)
        sys.stdout.flush()
        if unusable:
            raise SystemExit(EXIT_UNUSABLE)


@contextmanager
def ending(program: str) -> Iterator[None]:
    """Ends the process with a line for each mistake of the user's inside, and quietly if nobody reads the output.

    Raises:
        SystemExit: with code 2, for a UserError or an OSError.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names with characters that the terminal lacks
    try:
        yield
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        for line in str(error).split("\n"):
            complain(program, line)
        raise SystemExit(EXIT_USER_ERROR) from None
    except OSError as error:
        complain(program, f"{error.filename}: {error.strerror}" if error.filename else str(error))
        raise SystemExit(EXIT_USER_ERROR) from None


def complain(program: str, text: str) -> None:
    """Prints one line on standard error, shortened and with nothing that a terminal would take as a command."""
    print(f"{program}: {printable(text[:LONGEST])}", file=sys.stderr)
