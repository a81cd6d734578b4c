"""`python -m hnet_cl.plane run=FOLDER output=FOLDER`."""

import sys

from hnet_cl.core import address_space, streams
from hnet_cl.core import signals as interruption

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, where a module `torch` may lie beside a stranger's run
    streams.fill_closed()
    address_space.require("hnet_cl.plane")
    with interruption.command("hnet_cl.plane") as signals:
        from hnet_cl.plane.cli import main

        signals.release()
        main()
