"""`python -m bench [CASE…]`: measure, and print tables. Every row is in the results file at once."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import cases, contenders
from bench.accounting import open_accounting
from bench.cases.base import Case, Options
from bench.contenders.base import Contender
from bench.contenders.ours import Ours
from bench.figures import Row
from bench.machine import describe_machine, wait_for_quiet
from bench.payload import build_payload
from bench.report import render_report
from bench.room import Failed, Room

_EPILOG = """Cases and contenders are chosen by how their names begin: `python -m bench chain stop --peers s6,runit`.
The bare loop and `thermos` are always measured too. Peers are looked for on PATH and in $PEERS_DIR (a virtual
environment `venv`, and npm's `pm2`). `--report FILE…` prints the tables of earlier results."""


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, epilog=_EPILOG)
    parser.add_argument("cases", nargs="*", help="names or their beginnings; none: all")
    parser.add_argument("--peers", help="comma-separated names or their beginnings; without it all that are installed")
    parser.add_argument("--repeat", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything still work?")
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"), help="rows are appended here")
    parser.add_argument(
        "--quiet", type=float, default=0, metavar="S", help="wait up to S s before each run for a quiet machine"
    )
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "thermos-bench", help="directory of the runs"
    )
    parser.add_argument("--log-work", type=Path, help="directory of the log cases (default: /dev/shm, else --work)")
    parser.add_argument("--keep", action="store_true", help="keep the directories of the runs")
    parser.add_argument(
        "--tree", action="store_true", help="account by the process tree even where cgroups may be used"
    )
    parser.add_argument("--list", action="store_true", help="cases, contenders and their versions")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="only print the tables of these results")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    given = parse_arguments(argv)
    if given.report:
        print(render_report(read_rows(given.report), {}))
        return 0
    try:
        chosen = cases.choose(given.cases)
        everyone = contenders.choose(["thermos", *given.peers.split(",")] if given.peers else [])
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    present = [contender for contender in everyone if not contender.missing()]
    for contender in everyone:
        print(f"bench: {contender.name}: {contender.missing() or contender.version() or 'present'}", file=sys.stderr)
    if given.list:
        print("\n".join(f"{case.name:20} {case.title}" for case in chosen))
        return 0
    options = Options(
        work=given.work / str(os.getpid()),
        log_work=_log_work(given) / f"thermos-bench-{os.getpid()}",
        payload=build_payload(given.work),
        quick=given.quick,
        keep=given.keep,
        prefer_tree=given.tree,
    )
    try:
        rows = measure_all(chosen, present, options, given.repeat, given.quiet, given.out)
    finally:
        _leave_in_order(options)
    print(render_report(rows, _head(given, present)))
    return 1 if any("failed" in row and row["contender"] == Ours.name for row in rows) else 0


def read_rows(paths: list[Path]) -> list[Row]:
    """Of several results files; their rounds are kept apart."""
    rows = []
    for number, path in enumerate(paths):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows.append({**row, "round": row["round"] + 1000 * number})
    return rows


def measure_all(
    chosen: list[Case], present: list[Contender], options: Options, rounds: int, quiet_s: float, out: Path
) -> list[Row]:
    """Round by round, case by case, contender after contender; every other round in the opposite order."""
    rows = []
    with open(out, "a") as file:
        for number in range(rounds):
            for case in chosen:
                for contender in present if number % 2 == 0 else reversed(present):
                    if not case.is_for(contender):
                        continue
                    wait_for_quiet(quiet_s)
                    row = measure_one(case, contender, options, number)
                    rows.append(row)
                    print(json.dumps(row), file=file, flush=True)
                    print(_line(row), file=sys.stderr, flush=True)
    return rows


def measure_one(case: Case, contender: Contender, options: Options, number: int) -> Row:
    """One row: figures, or why there are none."""
    row: Row = {"case": case.name, "contender": contender.name, "round": number, "at": round(time.time(), 1)}
    if options.quick:
        row["quick"] = True
    parent = options.log_work if case.on_tmpfs else options.work
    directory = parent / f"{case.name}-{number}-{time.monotonic_ns()}"
    try:
        with Room(directory, options.payload, keep=options.keep, prefer_tree=options.prefer_tree) as room:
            row["figures"] = case.measure(contender, room, options)
            row["others"] = round(room.noise.others(), 3)
    except Failed as error:
        row.pop("figures", None)
        row["failed"] = str(error)
    return row


def _leave_in_order(options: Options) -> None:
    """Our directories, if nothing was to be kept in them."""
    for directory in (options.work, options.log_work):
        if directory.exists() and not any(directory.iterdir()):
            directory.rmdir()


def _log_work(given: argparse.Namespace) -> Path:
    memory = Path("/dev/shm")
    return given.log_work or (memory if os.access(memory, os.W_OK) else given.work)


def _head(given: argparse.Namespace, present: list[Contender]) -> dict[str, str]:
    accounting = open_accounting(given.tree)
    accounting.close()
    versions = ", ".join(filter(None, (contender.version() for contender in present)))
    return describe_machine(accounting.kind) | {"contenders": versions}


def _line(row: Row) -> str:
    what = f"[{row['round']}] {row['case']:18} {row['contender']:18}"
    if "failed" in row:
        return f"{what} failed: {row['failed']}"
    return what + " ".join(f"{key}={value:.4g}" for key, value in row["figures"].items() if value is not None)


if __name__ == "__main__":
    for signum in (signal.SIGINT, signal.SIGTERM):  # either way the room of the moment is left in order
        signal.signal(signum, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
