"""Run one gRPC balancer on its own, set by environment variables: `python -m services.rpc.balancer 1`."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from services.balancer.settings import BalancerSettings, SettingsError, port_variable
from services.command import name_of, not_installed, serve

try:  # here and not in `main`: a fork server imports this module once for all of its servers
    from services.rpc.balancer.server import GrpcBalancerServer
except ModuleNotFoundError as error:
    raise not_installed(error) from None

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return the exit code: 0, or 2 with a message where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m services.rpc.balancer",
        description="The gRPC balancer of one service. The environment variables that"
        " `python -m services.balancer --help` lists set it, without those that only HTTP has.",
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
        serve(
            lambda: GrpcBalancerServer(settings),
            settings.name,
            settings.host,
            settings.port,
            port_variable(os.environ),
            "BALANCER_HOST",
            grace_s=settings.grace_s,
            remark=settings.remark,
        )
    except SettingsError as error:
        print(f"{service or 'the balancer'} cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
