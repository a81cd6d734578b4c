"""The command line of the report."""

import argparse
import io
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest
from hnet_cl.records.other_libraries import LIBRARIES
from hnet_cl.report.captions import captions
from hnet_cl.report.comparison import FORMATS, Choice, compare_runs
from hnet_cl.report.forms import FONTS, WIDTHS, Form
from hnet_cl.report.notes import lines
from hnet_cl.report.published import beside_published, read_published

EXIT_USER_ERROR = 2
EXAMPLES = """examples:
  python -m hnet_cl.report outputs
  python -m hnet_cl.report outputs --where benchmark=smnist --metric acc,during,bwt
  python -m hnet_cl.report outputs --where method=hnet --rows method.strength
  python -m hnet_cl.report outputs --format latex > table.tex
  python -m hnet_cl.report outputs --published
  python -m hnet_cl.report outputs --output report
  python -m hnet_cl.report outputs --output report --figure accuracy --width column --style paper"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        wrong = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        advice = nearest(wrong, known) if wrong.startswith("--") else ""
        raise UserError(f"{message}{advice} (--help shows what there is)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the report with command-line arguments; None stands for those of the process.

    Raises:
        SystemExit: with code 2, after one line on standard error, for a user error or an OSError.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ± still shows the numbers
    try:
        _main(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError) as error:
        print(f"hnet_cl.report: {error}", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None


def _main(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    for name in ("figure", "width", "style"):
        if getattr(options, name) is not None and options.output is None:
            raise UserError(f"--{name}: figures are part of a whole report; add --output FOLDER")
    if options.published and (options.output or options.columns or options.metric):
        raise UserError("--published: is a table of its own, of ACC; leave out --output, --columns and --metric")
    if options.library:
        if options.metric or options.published:
            raise UserError(f"--as {options.library}: chooses the metrics; leave out --metric and --published")
        options.metric = ["acc", f"forgetting_{options.library}", f"bwt_{options.library}"]
    choice = Choice(options.rows, options.columns, options.metric, options.where, options.ignore, options.ci)
    compared = compare_runs(options.folders, choice, every_metric=options.output is not None)
    remarks = lines(compared.remarks)
    if options.published:
        sys.stdout.write(beside_published(compared, read_published(conf_dir() / "published"), options.format))
        return
    if options.output:
        from hnet_cl.report.output import Drawing, write_report  # imports matplotlib, which takes longer than all else

        command = shlex.join(["python", "-m", "hnet_cl.report", *arguments])
        drawing = Drawing(Form(options.width, options.style), options.figure)
        path = write_report(options.output, compared, command, drawing, sys.stderr)
        print("\n".join([*remarks, str(path)]))
        return
    sys.stdout.write(compared.render(options.format))
    if options.format == "csv" and remarks:
        print("\n".join(remarks), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m hnet_cl.report",
        description="Compares runs: mean over seeds, its standard error and the number of seeds.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    folders = [Path("outputs")]
    add("folders", nargs="*", type=_path, default=folders, help="where runs are, at any depth (default: outputs)")
    add("--rows", type=_list, metavar="KEYS", help="keys whose values make the rows (default: method)")
    add(
        "--columns",
        type=_list,
        metavar="KEYS",
        help="the same for columns (default: scenario); metric: one for each metric",
    )
    add("--metric", type=_list, metavar="NAMES", help="what is compared (default: acc; all metrics with --output)")
    add("--where", action="append", default=[], metavar="KEY=VALUE", help="only these runs; VALUE may be value,value")
    add("--ignore", type=_list, default=[], metavar="KEYS", help="average over runs that differ in these keys only")
    add("--ci", action="store_true", help="95 %% confidence intervals (Student's t) instead of standard errors")
    add(
        "--as",
        dest="library",
        choices=[name.lower() for name in LIBRARIES],
        help="ACC, forgetting and BWT as another library defines them, to compare with its tables",
    )
    add("--published", action="store_true", help="set published figures beside the measured ones, with a verdict")
    add("--format", choices=FORMATS, default="text", help="of the table (default: text)")
    add("--output", type=_path, metavar="FOLDER", help="write tables in all formats, plots and a page there instead")
    figures = ", ".join(captions())
    add("--figure", type=_figures, metavar="NAMES", help=f"with --output: only these figures (of: {figures})")
    add("--width", choices=WIDTHS, help="with --output: of figures, of a column (3.25 in) or of a page (6.75 in)")
    add(
        "--style",
        choices=FONTS,
        help="with --output: text in figures, for a paper (8 pt) or a talk (14 pt)",
    )
    return parser


def _path(text: str) -> Path:
    return Path(at_home(text))


def _figures(text: str) -> list[str]:
    names = _list(text)
    for name in names:
        if name not in captions():
            raise UserError(f"--figure {name}: no such figure{nearest(name, sorted(captions()))}")
    return names


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]
