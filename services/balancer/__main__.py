"""Run one balancer on its own, set by environment variables: `python -m services.balancer 1`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys

from services.addresses import address_of
from services.balancer.server import BalancerServer
from services.balancer.settings import VARIABLES, BalancerSettings, SettingsError
from services.command import listen, name_of, table
from services.loops import run

__all__ = ["main"]

GRACE_S = 3
"""How long requests in flight may take to end once the balancer is told to stop."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return the exit code: 0, or 2 with a message where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m services.balancer",
        description="The balancer of one service, set by environment variables:",
        epilog=table(VARIABLES, "SERVICE1_INSTANCES", "its instances: service1a=127.0.0.1:8051,…"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "service", nargs="?", type=name_of, help="1 to 4, or the name of a service; else BALANCER_SERVICE"
    )
    parser.add_argument(
        "--events", action="store_true", help="write events to standard error, one JSON a line"
    )
    options = parser.parse_args(arguments)
    service = options.service
    if options.events:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = BalancerSettings.from_environ(os.environ, service)
        sock = listen(settings.host, settings.port, "BALANCER_PORT")
    except SettingsError as error:
        print(f"{service or 'balancer'} cannot start: {error}", file=sys.stderr)
        return 2
    run(_serve(settings, sock))
    return 0


async def _serve(settings: BalancerSettings, sock: socket.socket) -> None:
    address = address_of(*sock.getsockname()[:2])
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = BalancerServer(settings)
    await server.start(sock)
    print(f"{settings.name} listens on http://{address}", flush=True)
    if not settings.instances:
        remedy = f"set {settings.instances_variable}, or POST them to /admin/instances"
        print(f"{settings.name} has no instances yet: {remedy}", flush=True)
    await stopping.wait()
    await server.stop(GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
