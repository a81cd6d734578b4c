"""What ends a run on purpose: mistakes that the user can mend, and signals."""

import signal


class UserError(Exception):
    """A mistake the user can mend. The message is one line: key, value, what is allowed, what to do."""


class OccupiedError(UserError):
    """The run folder is another run's or somebody else's, so nothing may be written there."""


class UnsupportedError(UserError):
    """A method that is not defined in the scenario it is asked for."""


class UntrustedError(UserError):
    """A class that is not of hnet_cl would have to be imported, which runs its code, and nobody said to trust it."""


class BusyError(OccupiedError):
    """Another process works on the same run folder, so what stands there is its business."""


class Interrupted(BaseException):
    """The run was asked to end by a signal. No Exception: nobody but the command line should catch it.

    `begun`: whether there is anything that could be continued.
    """

    def __init__(self, signum: int, begun: bool = False) -> None:
        super().__init__(signum, begun)
        self.signum = signum
        self.begun = begun

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.signum).name}"

    @property
    def exit_code(self) -> int:
        """Returns the exit code by which shells report that a signal ended a process."""
        return 128 + self.signum


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message; its class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
