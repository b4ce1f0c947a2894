"""Run one instance of a service over gRPC, set by environment variables: `python -m services.rpc 1`."""

from __future__ import annotations

import argparse
import os
import sys

from services.command import name_of, not_installed, serve
from services.settings import ServiceSettings, SettingsError

try:  # here and not in `main`: a fork server imports this module once for all of its servers
    from services.rpc.service import ServiceServer
except ModuleNotFoundError as error:
    raise not_installed(error) from None

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return the exit code: 0, or 2 with a message where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m services.rpc",
        description="One instance of a service of the pipeline, over gRPC. The environment variables that"
        " `python -m services --help` lists set it; of the next hop's URL, host, port and route count.",
    )
    parser.add_argument("service", nargs="?", type=name_of, help="1 to 4, or a name; else SERVICE_NAME")
    service = parser.parse_args(arguments).service
    try:
        settings = ServiceSettings.from_environ(os.environ, service)
        serve(
            lambda: ServiceServer(settings),
            settings.instance,
            settings.host,
            settings.port,
            "SERVICE_PORT",
            "SERVICE_HOST",
            grace_s=settings.grace_s,
        )
    except SettingsError as error:
        print(f"{service or 'the service'} cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
