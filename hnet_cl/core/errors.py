"""Exceptions that end a run on purpose: mistakes that the user can correct, and signals."""

import signal

from hnet_cl.core.plain_text import printable, shown

LONGEST = 500  # characters of another program's message that are repeated in ours


class UserError(Exception):
    """A mistake that the user can correct. The message is one line: key, value, what is allowed, what to do.

    What a terminal would take for commands is escaped in it, as it may repeat what files and other programs say.
    """

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(printable, message.split("\n"))))


class OccupiedError(UserError):
    """The run folder holds another run or files that are not hnet_cl's, so nothing may be written there."""


class UnsupportedError(UserError):
    """A method that is not defined in the scenario it is asked for."""


class UntrustedError(UserError):
    """A class from outside hnet_cl would have to be imported, which runs its code, but the user has not trusted it."""


class BusyError(OccupiedError):
    """Another process is working on the same run folder."""


class Interrupted(BaseException):
    """A signal asked the run to end. A BaseException, because only the command line should catch it.

    Attributes:
        signum: number of the signal.
        begun: whether there is anything that could be continued.
    """

    def __init__(self, signum: int, begun: bool = False) -> None:
        super().__init__(signum, begun)
        self.signum = signum
        self.begun = begun

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.signum).name}"

    @property
    def exit_code(self) -> int:
        """Returns the exit code with which shells report that a signal ended a process: 128 + its number."""
        return 128 + self.signum


class UnusableError(Exception):
    """An input file cannot be used; the message says why, as the end of a sentence that begins with its name."""


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its class if it has none.

    It is `shown`: escaped and, unless the message is ours, shortened.
    """
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if isinstance(error, UserError) else shown(line, LONGEST)


def described(error: BaseException) -> str:
    """Returns the class of an error and, if it has one, its message, `shown` in one line."""
    said = shown(" ".join(str(error).split()), LONGEST)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
