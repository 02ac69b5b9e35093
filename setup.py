"""Builds the coordinator, a small static C program, into the package; without a C compiler the plain
Python coordinator of the same contract is used instead and the install still succeeds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

SOURCES = sorted(Path("thermos/host").glob("coordinator*.c"))
PROGRAM = "thermos/host/thermos-coordinator"
#: In this order: with musl a coordinator starts in half the time and needs less memory.
COMPILERS = ("musl-gcc", "cc", "gcc", "clang")
FLAGS = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-D_GNU_SOURCE",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wl,--gc-sections",
]


def compile_coordinator(target: Path, extra: Sequence[str] = ()) -> bool:
    """Compile to `target`, static if the C library allows it; False (and one line saying why) if it can't be done."""
    compilers = [os.environ["CC"]] if os.environ.get("CC") else [c for c in COMPILERS if shutil.which(c)]
    if os.environ.get("THERMOS_NO_COMPILER") or not compilers:
        print("coordinator: no C compiler found; the Python coordinator will be used", file=sys.stderr)
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    for compiler, link in ((compiler, link) for link in (["-static"], []) for compiler in compilers):
        fresh = target.with_name(target.name + ".new")
        done = subprocess.run(
            [*compiler.split(), *FLAGS, *extra, *link, "-o", str(fresh), *map(str, SOURCES)],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            fresh.chmod(0o755)
            fresh.replace(target)
            return True
    print(
        f"coordinator: {' and '.join(compilers)} failed, the Python coordinator will be used\n{done.stderr}",
        file=sys.stderr,
    )
    return False


class BuildWithCoordinator(build_py):
    def run(self) -> None:
        super().run()
        target = Path(PROGRAM) if self.editable_mode else Path(self.build_lib) / PROGRAM
        compile_coordinator(target)


class PlatformDistribution(Distribution):
    """The wheel holds a machine's program, unless it can't be built."""

    def has_ext_modules(self) -> bool:
        return not os.environ.get("THERMOS_NO_COMPILER")


class PlatformWheel(bdist_wheel):
    """Tagged for the platform if the program is inside, but for any Python: no extension module is."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform if self.distribution.has_ext_modules() else "any"


setup(cmdclass={"build_py": BuildWithCoordinator, "bdist_wheel": PlatformWheel}, distclass=PlatformDistribution)
