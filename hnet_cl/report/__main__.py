"""`python -m hnet_cl.report outputs/...`"""

import sys

from hnet_cl.core import signals as interruption
from hnet_cl.core import streams

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, where a module `yaml` may lie beside a stranger's runs
    streams.fill_closed()
    with interruption.command("hnet_cl.report") as signals:
        from hnet_cl.report.cli import main

        signals.release()
        main()
