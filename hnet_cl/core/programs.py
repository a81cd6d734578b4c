"""How the programs beside the main one start, which read the runs of others."""

import sys
from importlib import import_module

from hnet_cl.core import address_space, signals, streams


def start(program: str) -> None:
    """Runs `main` of the module `cli` of a package, such as hnet_cl.predict, as a program.

    A signal that comes while it is imported is answered afterwards, by one line.
    """
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, where a module `torch` may lie beside a stranger's run
    streams.fill_closed()
    address_space.require(program)
    with signals.command(program) as own:
        main = import_module(f"{program}.cli").main
        own.release()
        main()
