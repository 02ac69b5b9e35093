"""Which Python runs it, and what runs then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executor.bundle.running import Bundle, may_build, only_line

pytestmark = may_build


def fake(directory: Path, name: str, says: str, code: int = 1) -> Path:
    path = directory / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


class TestPython:
    def test_an_old_one_is_passed_over(self, bundle: Bundle) -> None:
        (bundle.programs / "python3").rename(bundle.programs / "python3.11")
        fake(bundle.programs, "python3", "3.6.15")
        assert bundle.run("--version").returncode == 0

    def test_without_a_good_one_the_line_says_what_was_found(self, bundle: Bundle) -> None:
        old = [fake(bundle.programs, "python3", "3.9.18"), fake(bundle.programs, "python3.13", "no", 127)]
        script = bundle.base / "isolated"
        text = bundle.path.read_bytes().replace(b":}/usr/local/bin:/usr/bin:/bin", b":}/nonexistent/aa:/nonexist/b")
        assert text != bundle.path.read_bytes()
        script.write_bytes(text)
        script.chmod(0o755)
        (bundle.programs / "wc").symlink_to("/usr/bin/wc")
        bundle.path = script
        done = bundle.run("--version")
        assert done.returncode == 69
        line = only_line(done)
        assert line.startswith("cannot start thermos_executor: this host has no Python 3.11, 3.12 or 3.13 (")
        assert f"{old[0]} is 3.9.18" in line

    def test_the_environment_may_name_one(self, bundle: Bundle) -> None:
        mine = (bundle.programs / "python3").rename(bundle.base / "my-python")
        bundle.environment["THERMOS_PYTHON"] = str(mine)
        assert bundle.run("--version").returncode == 0

    @pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME"])
    def test_variables_of_python_mean_nothing(self, bundle: Bundle, variable: str) -> None:
        evil = bundle.base / "evil"
        evil.mkdir()
        (evil / "msgspec.py").write_text("raise SystemExit('hijacked')")
        bundle.environment[variable] = str(evil)
        assert bundle.run("--bundle-unpack").returncode == 0

    def test_what_lies_in_the_working_directory_is_not_imported(self, bundle: Bundle) -> None:
        run = bundle.base / "run"
        run.mkdir()
        for name in ("json", "zipfile", "unpack", "launcher", "msgspec", "executor", "argparse"):
            (run / f"{name}.py").write_text("raise SystemExit('hijacked')")
        assert bundle.run("--bundle-unpack").returncode == 0
        assert bundle.run("--help").returncode == 0


class TestDamaged:
    def test_a_file_that_was_cut_short_says_so(self, bundle: Bundle, tmp_path: Path) -> None:
        cut = tmp_path / "thermos_executor"
        cut.write_bytes(bundle.path.read_bytes()[:-1000])
        cut.chmod(0o755)
        bundle.path = cut
        done = bundle.run("--version")
        assert done.returncode == 65
        assert "is damaged: " in only_line(done)

    def test_flipped_bytes_are_found_before_anything_runs(self, bundle: Bundle, tmp_path: Path) -> None:
        data = bytearray(bundle.path.read_bytes())
        middle = data.index(b"PK\x03\x04", data.index(b"any.zip")) + 200_000
        data[middle : middle + 64] = bytes(64)
        bad = tmp_path / "thermos_executor"
        bad.write_bytes(data)
        bad.chmod(0o755)
        bundle.path = bad
        done = bundle.run("--bundle-unpack")
        assert done.returncode == 65
        assert "it is damaged" in only_line(done)
        assert [p.name for p in bundle.cache.iterdir()] == ["lock"]


def test_options_of_its_own_are_checked(bundle: Bundle) -> None:
    done = bundle.run("--bundle-what")
    assert done.returncode == 2
    assert "no such option: --bundle-what" in only_line(done)
    assert "--bundle-cache needs a directory" in only_line(bundle.run("--bundle-cache"))


def test_the_executor_gets_its_arguments(bundle: Bundle) -> None:
    helped = bundle.run("--help")
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.startswith("usage: thermos_executor")
    refused = bundle.run("--no-such-flag")
    assert refused.returncode == 2
    assert "--no-such-flag" in only_line(refused)


def test_without_an_agent_it_says_so(bundle: Bundle) -> None:
    done = bundle.run()
    assert done.returncode == 2
    assert "MESOS_" in only_line(done)


def test_every_module_can_be_imported_without_anything_else(bundle: Bundle) -> None:
    """No module of the executor, nor what it may import late, needs more than the bundle."""
    home = bundle.unpack()
    script = """
import importlib, pathlib, sys
lib = pathlib.Path(sys.argv[1])
sys.path[:] = [str(lib), *(p for p in sys.path if "site-packages" not in p)]
for path in sorted(lib.rglob("*.py")):
    top = path.relative_to(lib).parts[0]
    name = ".".join(path.relative_to(lib).with_suffix("").parts).removesuffix(".__init__")
    if top in ("executor", "thermos", "config", "h11") or name == "kazoo.client":
        importlib.import_module(name)
print("all")
"""
    python = os.path.realpath(sys.executable)
    done = subprocess.run(
        [python, "-I", "-S", "-c", script, str(home / "lib")], capture_output=True, text=True, env={}, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr


def test_nothing_is_written_when_it_runs(bundle: Bundle) -> None:
    home = bundle.unpack()
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*")}
    assert bundle.run("--help").returncode == 0
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*")} == before


def test_it_imports_late_from_where_it_was_unpacked_though_that_was_renamed(bundle: Bundle) -> None:
    """The run directory becomes the task user's, who may put another directory in the place of the one in use."""
    home = bundle.unpack()
    (home / "lib/executor/main.py").write_text(
        "import os, sys\n"
        "def main():\n"
        "    home = os.environ['HOME_OF_IT']\n"
        "    os.rename(home, home + '.moved')\n"
        "    os.makedirs(home + '/lib/h11')\n"
        "    open(home + '/lib/h11/__init__.py', 'w').write('print(\"hijacked\")')\n"
        "    import h11, thermos.host.program as program, subprocess\n"
        "    subprocess.run([program.find_coordinator()[0]], check=False)\n"
        "    print(h11.__version__, sys.argv[1:], 20 in map(int, os.listdir('/proc/self/fd')))\n"
    )
    for cached in (home / "lib/executor/__pycache__").glob("main.*"):
        cached.unlink()
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        done = subprocess.run(
            [os.path.realpath(sys.executable), "-I", "-S", str(home / "thermos_executor"), str(fd), "--flag"],
            env={"HOME_OF_IT": str(home)}, pass_fds=[fd], capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(fd)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(" ['--flag'] True")
    assert "hijacked" not in done.stdout
