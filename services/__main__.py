"""`python -m services 1`: one instance of a service as a program, set by environment variables."""

from __future__ import annotations

import argparse
import os
import sys
from math import ceil

import uvicorn

from services.addresses import address_of
from services.command import CANNOT_START, listen, name_of, raise_descriptor_limit, table
from services.pipeline import create_app
from services.settings import VARIABLES, ServiceSettings, SettingsError

__all__ = ["main"]

KEEP_ALIVE_S = 75
"""How long an idle connection is kept, in seconds: longer than clients do, so none is used as it closes."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code: 0, or 2 with a message where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m services",
        description="One instance of a service of the pipeline, set by the environment variables below.",
        epilog=table(VARIABLES, "SERVICE2_URL", "base URL of a documented service's next hop"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", nargs="?", type=name_of, help="1 to 4, or a name; else SERVICE_NAME")
    service = parser.parse_args(arguments).service
    try:
        settings = ServiceSettings.from_environ(os.environ, service)
        app = create_app(settings, described=True)
        sock = listen(settings.host, settings.port, "SERVICE_PORT")
    except SettingsError as error:
        print(f"{service or 'the service'} cannot start: {error}", file=sys.stderr)
        return CANNOT_START
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=ceil(settings.grace_s),
    )
    raise_descriptor_limit()
    address = address_of(*sock.getsockname()[:2])
    print(f"{settings.instance} listens on http://{address}{settings.path}", flush=True)
    with sock:
        try:
            uvicorn.Server(config).run(sockets=[sock])
        except KeyboardInterrupt:  # uvicorn has stopped in good order, and passes the signal on
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
