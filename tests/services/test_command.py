"""A server that cannot listen says why, and what to do about it."""

from __future__ import annotations

import errno
import resource
import socket

import pytest

from services.command import listen, raise_descriptor_limit
from services.environment import SettingsError


def test_a_busy_port_is_to_be_freed_or_another_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"SERVICE_PORT is {port}, .*: stop what listens there"):
            listen("127.0.0.1", port, "SERVICE_PORT")


def test_an_address_of_another_machine_is_no_fault_of_the_port() -> None:
    with pytest.raises(
        SettingsError, match=r"192\.0\.2\.1:0 .*: give BALANCER_HOST an address of this machine"
    ):
        listen("192.0.2.1", 0, "BALANCER_PORT")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "give BALANCER_HOST an address"),
        (PermissionError(errno.EACCES, "Permission denied"), "choose another, from 1024 up"),
    ],
)
def test_each_reason_has_a_remedy_of_its_own(
    monkeypatch: pytest.MonkeyPatch, error: OSError, remedy: str
) -> None:
    def fail(*_: object, **__: object) -> socket.socket:
        raise error

    monkeypatch.setattr(socket, "create_server", fail)
    with pytest.raises(SettingsError, match=remedy):
        listen("here", 80, "BALANCER_PORT")


@pytest.fixture
def low_limit():
    """The limit that a Mac's shell sets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("low_limit")
def test_a_server_may_open_as_many_files_as_the_system_allows() -> None:
    limit = raise_descriptor_limit()
    assert limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256


@pytest.mark.usefixtures("low_limit")
def test_a_limit_that_is_high_enough_already_stays() -> None:
    assert raise_descriptor_limit(100) == 256


def test_what_the_system_does_not_allow_is_not_had(low_limit: int) -> None:
    most = low_limit if low_limit != resource.RLIM_INFINITY else 1 << 40
    assert raise_descriptor_limit(most + 1) <= most
