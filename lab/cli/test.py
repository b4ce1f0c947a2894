"""`lab test`: does what is up answer as documented?"""

# ruff: noqa: PT028 (a command, and no test of pytest)

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.choices import UpOffset, UpProtocol
from services.protocols import ProtocolName

__all__ = ["test"]


def test(
    offset: UpOffset = None,
    protocol: UpProtocol = None,
    text: Annotated[str | None, typer.Option(help="Also send this text and print the report.")] = None,
) -> None:
    """Check that what is up answers as documented: health, the example, bad input, statistics."""
    from lab.cli.state import find
    from lab.imports import Extra, needing

    options = find(offset, protocol).options
    topology = options.build()
    if topology.protocol is ProtocolName.GRPC:
        with needing(Extra.GRPC, topology.name):
            import lab.cli.acceptance_grpc as over_grpc
        findings, report = over_grpc.acceptance(topology, options.balancer), over_grpc.report
    else:
        import lab.cli.acceptance as over_http

        findings, report = over_http.acceptance(topology), over_http.report
    failed = 0
    for finding in findings:
        failed += not finding.ok
        mark = typer.style("PASS", fg="green") if finding.ok else typer.style("FAIL", fg="red")
        typer.echo(f"{mark} {finding.what}" + ("" if finding.ok else f": {finding.found}"))
    if text is not None:
        typer.echo(report(topology, text))
    typer.echo("all as documented" if not failed else f"{failed} not as documented: see `lab logs`")
    if failed:
        raise typer.Exit(1)
