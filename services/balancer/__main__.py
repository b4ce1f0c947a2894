"""`python -m services.balancer 1`: one balancer on its own, set by environment variables."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys

from services.balancer.server import BACKLOG, BalancerServer
from services.balancer.settings import VARIABLES, BalancerSettings, SettingsError
from services.wire.loops import run

__all__ = ["main"]

GRACE_S = 3
"""How long requests in flight may take to end once the balancer is told to stop."""


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit code: 0, or 2 with a message where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m services.balancer",
        description="The balancer of one service. It is set by environment variables:",
        epilog=_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", nargs="?", help="1 to 4, or the name of a service; else BALANCER_SERVICE")
    parser.add_argument(
        "--events", action="store_true", help="write events to standard error, one JSON a line"
    )
    options = parser.parse_args(arguments)
    service = f"service{options.service}" if f"{options.service}".isdecimal() else options.service
    if options.events:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = BalancerSettings.from_environ(os.environ, service)
        sock = _bind(settings)
    except SettingsError as error:
        print(f"{service or 'balancer'} cannot start: {error}", file=sys.stderr)
        return 2
    run(_serve(settings, sock))
    return 0


async def _serve(settings: BalancerSettings, sock: socket.socket) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = BalancerServer(settings)
    await server.start(sock)
    print(f"{settings.name} listens on http://{settings.host}:{sock.getsockname()[1]}", flush=True)
    await stopping.wait()
    await server.stop(GRACE_S)


def _bind(settings: BalancerSettings) -> socket.socket:
    """A listening socket. Raises SettingsError where there can be none."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(
            f"BALANCER_PORT is {settings.port}, and {where} cannot be listened on ({error.strerror}):"
            " stop what listens there, or choose another"
        ) from error


def _table() -> str:
    width = max(len(variable.name) for variable in VARIABLES)
    rows = [f"  {variable.name:<{width}}  {variable.meaning}" for variable in VARIABLES]
    return "\n".join(
        [*rows, f"  {'SERVICE1_INSTANCES …':<{width}}  its instances: service1a=127.0.0.1:8051,…"]
    )


if __name__ == "__main__":
    sys.exit(main())
