"""What can be run: `nox -l` lists it. Every session makes its own environment; only nox must be installed."""

import shlex
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint"]


@nox.session
def sweep(session: nox.Session) -> None:
    """Start both topologies, drive them, write results/, charts and verdicts (-- -p concurrency "[1,2]")."""
    session.install("-e", ".[balancers,clients,grpc]")
    session.run("python", "-m", "lab.notebook", "notebooks/02_sweep.ipynb", *session.posargs)


@nox.session
def lab(session: nox.Session) -> None:
    """Open the notebooks in JupyterLab."""
    session.install("-e", ".[balancers,clients,grpc,jupyter]")
    offer_filter(session)
    session.run("jupyter", "lab", *(session.posargs or ["notebooks/01_quickstart.ipynb"]))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on all cores (-- tests/services -k slots; few tests are faster with -n 0)."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and docstrings with ruff, and types with mypy, strictly, on both packages."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def compare(session: nox.Session) -> None:
    """Compare two results by cell; fails where the second is worse or nothing is told (-- a.csv b.csv)."""
    session.install("-e", ".")
    session.run("lab", "compare", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Measure the lab beside wrk, Locust, nginx and Envoy, in interleaved runs (-- generators)."""
    session.install("-e", ".[balancers,clients,grpc]")
    session.run("python", "-m", "benchmarks.peers", *session.posargs, env={"LOCUST": locust(session)})


@nox.session
def inputs(session: nox.Session) -> None:
    """Write docs/balancers.md: what each of six balancers does with each kind of input."""
    session.install("-e", ".[balancers]")
    session.run("python", "-m", "benchmarks.balancer_inputs")


@nox.session
def placements(session: nox.Session) -> None:
    """Measure what real cores, clients and balancers make of the topologies (-- scaling clients)."""
    session.install("-e", ".[balancers,clients,grpc]")
    session.run("python", "-m", "benchmarks.placements", *session.posargs)


@nox.session
def accuracy(session: nox.Session) -> None:
    """Measure how far the lab's numbers can be trusted (-- pacing stall)."""
    session.install("-e", ".[balancers,clients,grpc]")
    session.run("python", "-m", "benchmarks.accuracy", *session.posargs)


def locust(session: nox.Session) -> str:
    """Return Locust's command, installed in an environment of its own: it brings gevent and a web server."""
    home = Path(session.create_tmp()).resolve() / "locust"
    if not (home / "bin" / "locust").exists():
        session.run("python", "-m", "venv", str(home))
        session.run(str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "locust", external=True)
    return str(home / "bin" / "locust")


FILTER = ("git", "config", "filter.notebook-text.clean", "python3 lab/results/notebook_text.py")


def offer_filter(session: nox.Session) -> None:
    """Offer to have git keep what notebooks print out of commits, by the filter that .gitattributes names."""
    asked = subprocess.run(FILTER[:3], capture_output=True, text=True, check=False)
    if asked.returncode != 1 or not Path(".git").exists():  # 1: git is there, and the filter is not set
        return
    command = shlex.join(FILTER)
    if not (session.interactive and sys.stdin.isatty()):
        session.log(f"What notebooks print becomes part of commits, unless you run: {command}")
    elif input("Keep what notebooks print out of commits, by a git filter in this clone? [Y/n] ") in "yY":
        session.run(*FILTER, external=True)
