"""What can be run: `nox -l` lists it. Sessions share an environment; only nox must be installed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"  # all sessions share one, which `install` makes
nox.options.sessions = ["tests", "lint"]

SHARED = Path(".nox/lab").absolute()
"""The environment of all sessions but `lowest`."""
LOWEST = SHARED.parent / "lowest"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWEEP = "notebooks/02_sweep.ipynb"


@nox.session
def sweep(session: nox.Session) -> None:
    """Start both topologies, drive them, write results/, charts and verdicts (-- -p concurrency "[1,2]")."""
    install(session)
    asked = session.run("python", "-m", "lab.notebook.needs", SWEEP, *session.posargs, silent=True, log=False)
    install(session, *(extra for extra in str(asked).split() if extra in SIZES))
    session.run("python", "-m", "lab.notebook", SWEEP, *session.posargs)


@nox.session
def lab(session: nox.Session) -> None:
    """Open the notebooks in JupyterLab."""
    install(session, "jupyter")
    offer_filter(session)
    session.run("python", "-m", "lab.notebook.jupyter", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on all cores (-- tests/services -k slots; few tests are faster with -n 0)."""
    install(session, "dev")
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and docstrings with ruff, and types with mypy, strictly, on both packages."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def compare(session: nox.Session) -> None:
    """Compare two results by cell; fails where the second is worse or nothing is told (-- a.csv b.csv)."""
    install(session)
    session.run("lab", "compare", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Measure the lab beside wrk, Locust, nginx and Envoy, in interleaved runs (-- generators)."""
    install(session, "balancers", "clients", "grpc")
    session.run("python", "-m", "benchmarks.peers", *session.posargs, env={"LOCUST": locust(session)})


@nox.session
def inputs(session: nox.Session) -> None:
    """Write docs/balancers.md: what each of six balancers does with each kind of input."""
    install(session, "balancers")
    session.run("python", "-m", "benchmarks.balancer_inputs")


@nox.session
def placements(session: nox.Session) -> None:
    """Measure what real cores, clients and balancers make of the topologies (-- scaling clients)."""
    install(session, "balancers", "clients", "grpc")
    session.run("python", "-m", "benchmarks.placements", *session.posargs)


@nox.session
def accuracy(session: nox.Session) -> None:
    """Measure how far the lab's numbers can be trusted (-- pacing stall)."""
    install(session, "balancers", "clients", "grpc")
    session.run("python", "-m", "benchmarks.accuracy", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Drive the notebooks in JupyterLab with Debian's chromium (-- --all: with their own parameters)."""
    if not any(map(shutil.which, BROWSERS)):
        session.skip("it needs a browser: apt-get install chromium")
    install(session, "dev", "jupyter")
    add(session, "playwright>=1.45")
    session.run("pytest", "-n", "0", "tests/browser", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Try the oldest versions allowed: each command's help, a quick sweep, a notebook in JupyterLab."""
    if not shutil.which("uv"):
        session.skip("uv resolves the oldest versions: pip install uv")
    oldest = ("--resolution", "lowest-direct", "-e", ".[balancers,clients,grpc,jupyter]")
    add(session, *oldest, folder=LOWEST)
    use(LOWEST)
    commands = "import typer; from lab.cli.app import app; print(*typer.main.get_command(app).commands)"
    for command in str(session.run("python", "-c", commands, silent=True)).split():
        session.run("lab", command, "--help", silent=True)
    session.run("python", "-m", "lab.notebook", SWEEP, "-p", "preset", "quick", "-p", "folder", "build")
    if any(map(shutil.which, BROWSERS)):
        add(session, "pytest", "pytest-timeout", "hypothesis", "playwright>=1.45", folder=LOWEST)
        driven = ("tests/browser", "-k", "mistyped", "-W", "ignore", "-o", "addopts=")
        session.run("python", "-m", "pytest", *driven)


def install(session: nox.Session, *extras: str) -> None:
    """Install the lab with these extras, and show how; do nothing where the environment has them."""
    kept = SHARED / "pipeline-lab.json"
    project = sha256(Path("pyproject.toml").read_bytes()).hexdigest()
    has = json.loads(kept.read_text()) if kept.exists() else {}
    all_of = sorted({*has.get("extras", ()), *extras})
    if (has.get("project"), has.get("extras")) != (project, all_of):
        sizes = ", ".join(["400 MB", *(f"{SIZES[extra]} for {extra}" for extra in extras)])
        session.log(f"Installing into {SHARED}, once: {sizes}. It takes a minute or two.")
        add(session, "-e", f".[{','.join(all_of)}]" if all_of else ".")
        kept.write_text(json.dumps({"project": project, "extras": all_of}))
    use(SHARED)


def use(folder: Path) -> None:
    """Have the commands of a session come from this environment."""
    os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    os.environ["VIRTUAL_ENV"] = str(folder)  # IPython would take modules from another one


def add(session: nox.Session, *wanted: str, folder: Path = SHARED) -> None:
    """Install what is wanted, with uv where it is there; make the environment first if need be."""
    python, uv = folder / "bin" / "python", shutil.which("uv")
    if not python.exists():
        made_by = [uv, "venv"] if uv else [sys.executable, "-m", "virtualenv"]
        session.run(*made_by, "--quiet", "--python", sys.executable, str(folder))
    with_pip = [str(python), "-m", "pip", "install", "--no-compile"]
    session.run(*([uv, "pip", "install", "--python", str(python)] if uv else with_pip), *wanted)


SIZES = {"balancers": "480 MB", "clients": "10 MB", "grpc": "30 MB", "jupyter": "150 MB", "dev": "800 MB"}


def locust(session: nox.Session) -> str:
    """Return Locust's command, installed in an environment of its own: it brings gevent and a web server."""
    home = SHARED.parent / "locust"
    if not (home / "bin" / "locust").exists():
        add(session, "locust", folder=home)
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
