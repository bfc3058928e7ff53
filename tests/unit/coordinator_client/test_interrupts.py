"""The second signal waits until the stop of the run has been requested."""

import os
import signal

import pytest

from coordinator_client.command_line.interrupts import Interrupts


def send(*numbers: int) -> None:
    """Handled before the next line: this is the main thread."""
    for number in numbers:
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 0.01)


def test_a_signal_that_comes_twice_does_not_end_the_command_before_the_stop_is_requested() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        send(signal.SIGTERM)
        interrupts.release()
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)


def test_ctrl_c_while_the_stop_is_requested_ends_the_command_after_it() -> None:
    with Interrupts() as interrupts:
        interrupts.hold()
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.release()


def test_a_third_signal_ends_the_command_while_a_coordinator_is_silent() -> None:
    with Interrupts():
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT, signal.SIGINT)


def test_the_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts():
        pass
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
