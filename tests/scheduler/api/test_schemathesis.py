"""The API as its own document describes it, asked by schemathesis: nothing is an internal error, and every answer has a
status, a kind and a shape that the document promises.

The scheduler is a process of its own, and so is schemathesis: what it brings along stays out of the other tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

#: These end the scheduler, or do not end.
LEFT_OUT = ("/abortabortabort", "/quitquitquit", "/api/v1/events")

#: Half a minute of one core; other tests, gates and whole other runs may want it, too.
PATIENCE_S = 300.0


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its address and its log. There is no Mesos where it looks for one."""
    log = folder / "log"
    words = ["--cluster_name=rz1", "--mesos_master_address=127.0.0.1:9", "--http_port=0", f"--store={folder / 'store'}"]
    with log.open("w") as out:
        child = subprocess.Popen([sys.executable, "-m", "scheduler.main", *words], stderr=out)
        try:
            found = None
            while found is None:
                assert child.poll() is None, log.read_text()
                time.sleep(0.02)
                found = re.search(r"serving cluster rz1 at (\S+?)/?\n", log.read_text())
            yield found[1], log
            assert child.poll() is None, "it has ended meanwhile"
        finally:
            child.kill()
            child.wait()


@pytest.mark.timeout(PATIENCE_S + 60)
def test_the_api_keeps_to_its_document(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (url, log):
        words = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/api/v1/openapi.json"]
        words += [
            "--phases=examples,coverage,fuzzing",
            "--max-examples=3",
            f"--checks={CHECKS}",
            "--seed=7",
            "--continue-on-failure",
        ]
        words += ["--generation-database=none", *(f"--exclude-path={path}" for path in LEFT_OUT)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
        cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert cases is not None and cases[1] == cases[2] and int(cases[1]) > 1000, done.stdout[-2000:]
        assert "internal error" not in log.read_text()
