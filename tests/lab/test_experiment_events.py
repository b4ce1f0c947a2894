"""An interrupt is a wish: first after this step, then at once, and never in the middle of a clean-up."""

from __future__ import annotations

import signal
import threading

import pytest

from lab.experiment_events import (
    Course,
    Event,
    ExperimentBegun,
    ExperimentEnded,
    Interrupts,
    StopAsked,
    TrialBegun,
)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_interrupt_is_noted_the_second_raises_and_the_third_does_nothing() -> None:
    with Interrupts() as interrupts:
        assert not interrupts.asked
        interrupt()
        assert (interrupts.asked, interrupts.raised) == (True, False)
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        interrupt()
        assert interrupts.raised


def test_afterwards_an_interrupt_is_what_it_was() -> None:
    with Interrupts():
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_what_is_over_cannot_be_interrupted() -> None:
    with Interrupts() as interrupts:
        interrupts.disregard()
        interrupt()
        interrupt()
        assert not interrupts.raised


def test_interrupts_that_a_program_ignores_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            interrupt()
            assert not interrupts.asked
    finally:
        signal.signal(signal.SIGINT, before)


def test_beside_the_main_thread_nothing_is_changed() -> None:
    seen = []

    def block() -> None:
        with Interrupts() as interrupts:
            seen.append(interrupts.asked)

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert seen == [False]


def test_listeners_hear_of_a_stop_before_what_comes_next_and_of_what_is_left() -> None:
    heard: list[Event] = []
    trial = TrialBegun("sequential at 1", 2, 3, planned_s=1.0, left_s=2.0)
    with Interrupts() as interrupts:
        course = Course(ExperimentBegun("a plan", 3, 3.0), [heard.append], interrupts)
        interrupt()
        assert course.stopping
        course.tell(trial)
        course.end()
    assert heard == [StopAsked(), trial, ExperimentEnded(done=0, left=2, stopped=True)]
