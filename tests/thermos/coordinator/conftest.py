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
    """build(name, blind=…, childless=…): a program, compiled or copied where other users can reach it."""
    place = Path(tempfile.mkdtemp(prefix="coordinator-"))
    place.chmod(0o755)
    made: dict[tuple[str, bool, bool], Program] = {}

    def make(name: str, blind: bool = False, childless: bool = False) -> Program:
        """`blind`: as if there were no /proc. `childless`: as if the kernel had no children files."""
        key = (name, blind, childless)
        if key not in made:
            target = place / "-".join(map(str, key))
            made[key] = _compile(target, blind, childless) if name == "c" else _copy(target, blind, childless)
        return made[key]

    yield make
    shutil.rmtree(place)


def _compile(target: Path, blind: bool, childless: bool) -> Program:
    flags = ["-Werror"] + ['-DPROC="/proc-is-missing"'] * blind + ['-DCHILDREN="no-such-file"'] * childless
    setup, here = setuptools.setup, Path.cwd()
    setuptools.setup = lambda **_: None
    os.chdir(ROOT)
    try:
        assert runpy.run_path("setup.py")["compile_coordinator"](target, flags), "the coordinator does not compile"
    finally:
        setuptools.setup = setup
        os.chdir(here)
    return Program("c", (str(target),), has_proc=not blind)


def _copy(target: Path, blind: bool, childless: bool) -> Program:
    text = (ROOT / "thermos/host/coordinator.py").read_text()
    for wanted, old, new in (
        (blind, 'PROC = "/proc"', 'PROC = "/proc-is-missing"'),
        (childless, 'CHILDREN = "children"', 'CHILDREN = "no-such-file"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new) if wanted else text
    target.write_text(text)
    return Program("python", (sys.executable, *PYTHON_FLAGS, str(target)), has_proc=not blind)


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
    return (task / "children").read_text().split()


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
