"""Signals: when they take effect, and whose handler has the last word."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hnet_cl.core.errors import Interrupted
from hnet_cl.core.signals import Interruption


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    kept = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    yield
    for signum, handler in kept.items():
        signal.signal(signum, handler)


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize(
    ("signum", "code", "text"),
    [(signal.SIGTERM, 143, "interrupted by SIGTERM"), (signal.SIGINT, 130, "interrupted by SIGINT")],
)
def test_a_signal_ends_at_once_what_is_not_held(signum: int, code: int, text: str) -> None:
    with pytest.raises(Interrupted) as caught, Interruption():
        send(signum)
    assert (caught.value.exit_code, str(caught.value)) == (code, text)
    assert not isinstance(caught.value, Exception)


def test_a_held_signal_waits_for_the_release_and_is_there_for_whoever_takes_turns() -> None:
    with pytest.raises(Interrupted), Interruption() as interruption:
        interruption.hold()
        send(signal.SIGTERM)
        assert interruption.pending
        for _ in range(2):
            with pytest.raises(Interrupted):
                interruption.release()
            assert interruption.pending


def test_a_held_signal_is_not_lost_when_something_else_ends_the_run() -> None:
    with pytest.raises(Interrupted) as caught, Interruption() as interruption:
        interruption.hold()
        send(signal.SIGTERM)
        raise ValueError
    assert isinstance(caught.value.__context__, ValueError)


def test_a_second_signal_does_not_wait() -> None:
    with pytest.raises(Interrupted) as caught, Interruption() as interruption:
        interruption.hold()
        send(signal.SIGINT)
        send(signal.SIGTERM)
        pytest.fail("it waited")
    assert caught.value.signum == signal.SIGTERM


def test_afterwards_signals_are_as_they_were() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with Interruption():
        assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR2])
def test_a_job_schedulers_handler_is_called_at_the_release_and_decides(signum: int) -> None:
    called: list[Any] = []
    signal.signal(signum, lambda number, frame: called.append(number))
    with Interruption() as interruption:
        interruption.hold()
        send(signum)
        assert called == [] and interruption.pending
        interruption.release()
        assert called == [signum]


def test_ignored_signals_stay_ignored_and_unknown_ones_are_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    with Interruption():
        send(signal.SIGINT)
        assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


def test_outside_the_main_thread_nothing_is_installed() -> None:
    found: list[Any] = []

    def work() -> None:
        with Interruption() as interruption:
            found.append((signal.getsignal(signal.SIGTERM), interruption.pending))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(before, False)]
