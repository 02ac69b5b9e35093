"""Coverage-guided noise into every parser, from real bytes on: nothing but the parser's own refusal may come out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mesos.core.recordio import frame
from tests.mesos.core import samples

ROOT = Path(__file__).parents[3]

#: Inputs of one run of the suite; FUZZ_RUNS makes it longer.
RUNS = int(os.environ.get("FUZZ_RUNS", "20000"))

SEEDS = [
    *samples.REAL,
    *(b"\xff" + frame(record) for record in samples.REAL),
    b"zk://me:pw@a:2181,b/mesos",
    b"127.0.0.1:5050,https://m:5050",
    b"15mins",
    b"cpus:4;mem:4096;ports:[31000-31099];disk(web):{a,b}",
    b"host:a;rack:r1;slots:3",
]


def test_parsers_withstand_guided_noise(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / str(number)).write_bytes(seed)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz.py"), f"-runs={RUNS}", "-seed=1", "-timeout=10",
         "-max_len=4096", f"-artifact_prefix={tmp_path}/", str(corpus)],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr  # it did what it should
