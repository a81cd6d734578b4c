"""`python -m hnet_cl`, and the console script. Signals are held and output is made safe before anything else."""

from hnet_cl.core import address_space, streams
from hnet_cl.core import signals as interruption


def main() -> None:
    """Runs the command line; see `hnet_cl.app.main`."""
    streams.forgive()
    address_space.require("hnet_cl")
    with interruption.command("hnet_cl", " before training began"):
        from hnet_cl.app import main as run

        interruption.answer()
        run()


if __name__ == "__main__":
    main()
