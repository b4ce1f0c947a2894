"""Commands to the process that keeps a topology up."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from lab.cli import control
from lab.cli.control import Command, Control, ask
from lab.errors import NotRunning, PlacementError
from lab.placement import Running


class Quiet:
    """A running topology without servers."""

    def stats(self) -> dict[str, Any]:
        return {}

    def kill(self, name: str) -> None:
        raise PlacementError(f"{name} is down already")


@contextmanager
def served(path: Path) -> Iterator[None]:
    """Serve commands in a thread until the block ends."""
    with Control(cast(Running, Quiet()), path).open() as serving:
        thread = threading.Thread(target=serving.serve)
        thread.start()
        try:
            yield
        finally:
            ask(path, Command.DOWN)
            thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


def test_a_command_is_answered_with_its_result_or_with_the_error_that_it_met(path: Path) -> None:
    with served(path):
        assert ask(path, Command.STATS) == {}
        with pytest.raises(PlacementError, match="service1 is down already"):
            ask(path, Command.KILL, "service1")


def test_a_socket_that_a_killed_process_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NotRunning, match="end it with `lab down`"):
        ask(path, Command.STATS)
    with served(path):
        assert ask(path, Command.STATS) == {}
    assert not path.exists()


def test_a_shell_that_stalls_or_says_nonsense_does_not_keep_others_from_being_served(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "SHELL_S", 0.05)
    with served(path), socket.socket(socket.AF_UNIX) as stalled, socket.socket(socket.AF_UNIX) as babbling:
        stalled.connect(str(path))
        stalled.sendall(b'{"command": "st')
        babbling.connect(str(path))
        babbling.sendall(b"hello\n")
        assert b"not a command" in babbling.recv(1000)
        assert ask(path, Command.STATS) == {}


def test_a_signal_that_does_not_interrupt_the_wait_for_a_command_is_seen_all_the_same(path: Path) -> None:
    def signal_this_thread_and_not_the_one_that_waits() -> None:
        ask(path, Command.STATS)  # answered: the other thread serves
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    sender = threading.Thread(target=signal_this_thread_and_not_the_one_that_waits)
    with Control(cast(Running, Quiet()), path).open() as serving:
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            serving.serve()
    sender.join()
