"""`python -m hnet_cl.data benchmark=NAME [KEY=VALUE ...]`."""

from hnet_cl.core import address_space, streams
from hnet_cl.core import signals as interruption

if __name__ == "__main__":
    streams.forgive()
    address_space.require("hnet_cl.data")
    with interruption.command("hnet_cl.data") as signals:
        from hnet_cl.data.cli import main

        signals.release()
        main()
