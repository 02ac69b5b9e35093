"""Every test of this folder runs against both coordinators. The C one is built once per session; where no compiler is
at hand only the Python one is tested, and the first lines of pytest's output say so."""

from __future__ import annotations

import os
import runpy
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import setuptools

from tests.thermos.coordinator.harness import PATIENCE, Host, Program, become_subreaper, is_alive

ROOT = Path(__file__).parents[3]
HAS_COMPILER = any(shutil.which(name) for name in ("cc", "gcc", "clang"))
PROGRAMS = ("c", "python") if HAS_COMPILER else ("python",)
PYTHON_FLAGS = ("-I", "-S", "-E")

#: Somebody who is not us; no such account is needed.
STRANGER = 54321


def pytest_report_header() -> str:
    return "coordinators under test: " + ", ".join(PROGRAMS) + ("" if HAS_COMPILER else " (no C compiler was found)")


@pytest.fixture(scope="session")
def build() -> Iterator[Callable[..., Program]]:
    """build(name, variant): a program, compiled or copied where other users can reach it."""
    place = Path(tempfile.mkdtemp(prefix="coordinator-"))
    place.chmod(0o755)
    made: dict[tuple[str, str], Program] = {}

    def make(name: str, variant: str = "") -> Program:
        if (name, variant) not in made:
            target = place / f"{name}-{variant}"
            made[name, variant] = _compile(target, variant) if name == "c" else _copy(target, variant)
        return made[name, variant]

    yield make
    shutil.rmtree(place)


#: Variants: a flag for the compiler, and what to replace by what in the Python program.
VARIANTS = {
    "blind": ('-DPROC="/proc-is-missing"', 'PROC = "/proc"', 'PROC = "/proc-is-missing"'),  # as if there were no /proc
    "childless": ('-DCHILDREN="no-such-file"', 'CHILDREN = "children"', 'CHILDREN = "no-such-file"'),
    "hasty": ("-DLONG_LIFE_MS=2000", "LONG_LIFE = 60.0", "LONG_LIFE = 2.0"),  # a long life is soon lived
}


def _compile(target: Path, variant: str) -> Program:
    flags = ["-Werror", *([VARIANTS[variant][0]] if variant else [])]
    setup, here = setuptools.setup, Path.cwd()
    setuptools.setup = lambda **_: None
    os.chdir(ROOT)
    try:
        assert runpy.run_path("setup.py")["compile_coordinator"](target, flags), "the coordinator does not compile"
    finally:
        setuptools.setup = setup
        os.chdir(here)
    return Program("c", (str(target),), has_proc=variant != "blind")


def _copy(target: Path, variant: str) -> Program:
    text = (ROOT / "thermos/host/coordinator.py").read_text()
    if variant:
        _, old, new = VARIANTS[variant]
        assert text.count(old) == 1
        text = text.replace(old, new)
    target.write_text(text)
    return Program("python", (sys.executable, *PYTHON_FLAGS, str(target)), has_proc=variant != "blind")


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, build: Callable[..., Program]) -> Program:
    return build(request.param)


@pytest.fixture
def new_host(request: pytest.FixtureRequest) -> Iterator[Callable[..., Host]]:
    """Makes hosts; at the end of the test nothing of them may be alive."""
    become_subreaper()
    before = strays()
    hosts: list[Host] = []

    def make(program: Program, **more: object) -> Host:
        root = Path(tempfile.mkdtemp(prefix="run-"))
        root.chmod(0o755)
        hosts.append(Host(program, root, **more))  # type: ignore[arg-type]
        return hosts[-1]

    yield make
    for host in hosts:
        host.clean_up()
        shutil.rmtree(host.root)
    left = strays() - before
    alive = {pid for pid in left if is_alive(pid)}
    for pid in left:
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([fd], [], [], PATIENCE)
        os.close(fd)
        os.waitpid(pid, 0)
    assert not alive, f"left alive: {alive}"


def strays() -> set[int]:
    """Our own children, dead or alive."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in _children(task)}


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except FileNotFoundError:  # a thread that has ended meanwhile; others take its children over
        return []


@pytest.fixture
def host(program: Program, new_host: Callable[..., Host]) -> Host:
    return new_host(program)


@pytest.fixture
def stranger_host(program: Program, new_host: Callable[..., Host]) -> Host:
    """A host whose coordinator has no rights: it runs as a stranger if we are root, else as ourselves."""
    host = new_host(unprivileged(program))
    if os.geteuid() == 0:
        for path in (host.root, host.task, host.logs, host.sandbox):
            os.chown(path, STRANGER, STRANGER)
        (host.task / "wake").chmod(0o666)
    return host


def unprivileged(program: Program, *wrapper: str) -> Program:
    """The same program as somebody without rights, optionally behind a wrapper command."""
    if os.geteuid() != 0:
        return Program(program.name, (*wrapper, *program.argv), program.has_proc)
    drop = ("/usr/bin/setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    argv = program.argv
    if program.name == "python":
        argv = (_reachable_python(drop), *argv[1:])
    return Program(program.name, (*drop, *wrapper, *argv), program.has_proc)


def _reachable_python(drop: tuple[str, ...]) -> str:
    """An interpreter that others may execute: ours can lie in a private home."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        check = [*drop, "/usr/bin/env", path, "-c", "import ctypes, sys; sys.exit(sys.version_info < (3, 11))"]
        if Path(path).exists() and subprocess.run(check, capture_output=True).returncode == 0:
            return path
    raise AssertionError("no Python >= 3.11 that an unprivileged user may run")


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
