"""What an error in connecting says: of the other side, or of this one, which may be short of something."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from services.wire import SHORTAGES, Deadlines, FailureKind, NotConnected, Pool
from services.wire.connecting import can_reach, connect, shortage_of
from tests.support.shortage import descriptors_left
from tests.support.wire_peers import BOTH_LOOPS, answering, listening


class _Kept(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport


@BOTH_LOOPS
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_process_without_descriptors_blames_no_one_else(host):
    async with listening(answering()) as peer:
        with descriptors_left(0), pytest.raises(NotConnected) as caught:
            await connect(asyncio.Protocol, host, peer.port, timeout_s=5.0)
        assert caught.value.kind is FailureKind.NO_DESCRIPTOR
        protocol = await connect(_Kept, host, peer.port, timeout_s=5.0)
        protocol.transport.abort()


@BOTH_LOOPS
async def test_a_connection_that_is_shed_leaves_its_descriptor_to_another():
    with socket.create_server(("127.0.0.1", 0)) as peer:  # which accepts none, and so takes no descriptor
        pool = Pool(*peer.getsockname(), Deadlines())
        pool.give_back(await pool.connect())
        with descriptors_left(0):
            opened = asyncio.get_running_loop().create_future()
            assert pool.shed()
            pool.open(opened.set_result)
            connection = await opened
        assert not isinstance(connection, NotConnected)
        assert not pool.shed()
        connection.close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMFILE, FailureKind.NO_DESCRIPTOR),
        (errno.ENFILE, FailureKind.NO_DESCRIPTOR),
        (errno.EADDRNOTAVAIL, FailureKind.NO_LOCAL_PORT),
        (errno.ENOBUFS, FailureKind.NO_MEMORY),
        (errno.ENOMEM, FailureKind.NO_MEMORY),
        (errno.ECONNREFUSED, None),
        (errno.ECONNRESET, None),
        (errno.EHOSTUNREACH, None),
    ],
)
def test_what_the_system_lacks_is_told_from_what_the_other_side_did(number, kind):
    assert shortage_of(OSError(number, "no")) is kind


def test_memory_that_python_lacks_is_a_shortage_too():
    assert shortage_of(MemoryError()) is FailureKind.NO_MEMORY
    assert shortage_of(None) is shortage_of(ValueError()) is None


def test_a_name_that_could_not_be_looked_up_for_want_of_descriptors_is_not_unknown():
    assert shortage_of(socket.gaierror(socket.EAI_NONAME, "unknown")) is None
    with descriptors_left(0):
        assert shortage_of(socket.gaierror(socket.EAI_SYSTEM, "cannot")) is FailureKind.NO_DESCRIPTOR


def test_every_shortage_has_words():
    assert {shortage_of(OSError(n, "")) for n in (errno.EMFILE, errno.EADDRNOTAVAIL, errno.ENOMEM)} == {
        *SHORTAGES
    }


def test_this_machine_can_reach_itself():
    assert can_reach("127.0.0.1")
