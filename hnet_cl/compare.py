"""`python -m hnet_cl.compare`: several methods on one data set, to their table.

In a program, `hnet_cl.compare` is the function of that name: this module is no module once it is imported, but what
`hnet_cl.api` calls `compare`, so that neither hides the other.
"""

import shlex
import sys

from hnet_cl.core import address_space, streams
from hnet_cl.core import signals as interruption


def main() -> None:
    """Runs the command line: prints the sweep that it is short for, and runs that; see `hnet_cl.app.main`."""
    streams.forgive()
    address_space.require("hnet_cl")
    with interruption.command("hnet_cl", " before training began"):
        from hnet_cl.config.compare_words import HELP, sweep_words

        if "--help" in sys.argv or "-h" in sys.argv:
            print(HELP)
            return
        sys.argv[1:] = sweep_words(sys.argv[1:])
        print(shlex.join(["python", "-m", "hnet_cl", *sys.argv[1:]]), flush=True)
        from hnet_cl.app import main as run

        interruption.answer()
        run()


if __name__ == "__main__":
    main()
elif __name__ == "hnet_cl.compare":  # not in a worker process, which imports the program under another name
    from hnet_cl.api import compare

    sys.modules[__name__] = compare  # type: ignore[assignment]
