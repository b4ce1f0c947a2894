"""How many files a generator may have open at once: a connection is one of them."""

from __future__ import annotations

import resource

from lab.errors import BadParameter

__all__ = ["make_room"]

_OTHERS = 32
"""What is open beside the connections, with some to spare."""


def make_room(connections: int) -> None:
    """See to it that this process may have so many connections, as far as the system leaves that to it.

    Else those it could not open would count as failures of the server. Raises BadParameter beyond that.
    """
    wanted = connections + _OTHERS
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY or now >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    except (OSError, ValueError) as error:
        raise BadParameter(
            f"{connections} connections cannot be had: a process may open {most} files here (ulimit -Hn); "
            "ask for fewer, or for more processes"
        ) from error
