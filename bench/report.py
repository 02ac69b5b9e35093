"""Rows into Markdown. Pure: takes what was measured, gives text."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping

from bench.cases import CASES
from bench.cases.base import Case
from bench.contenders.bare import Bare
from bench.figures import Row, ratio_to, render_value, values_of
from bench.targets import TARGETS


def render_report(rows: list[Row], head: Mapping[str, str]) -> str:
    """Machine, targets, then a table for each case that has rows."""
    parts = [_render_head(rows, head), _render_targets(rows)]
    parts += [_render_case(case, [row for row in rows if row["case"] == case.name]) for case in CASES]
    return "\n".join(part for part in parts if part)


def _render_head(rows: list[Row], head: Mapping[str, str]) -> str:
    lines = [f"- {name}: {value}" for name, value in head.items()]
    rounds = max(Counter((row["case"], row["contender"]) for row in rows).values(), default=0)
    noise = [row["others"] for row in rows if "others" in row]
    if noise:
        busy = f"median {statistics.median(noise):.2f}, most {max(noise):.2f} cores"
        lines.append(f"- rounds: {rounds}; CPU of others during the runs: {busy}")
    return "\n".join(lines) + "\n"


def _render_targets(rows: list[Row]) -> str:
    """Of whole runs only: tiny sizes say nothing about targets."""
    rows = [row for row in rows if not row.get("quick")]
    lines = ["| target | bound | measured | |", "|---|---:|---:|---|"]
    for target in TARGETS:
        value = target.measure(rows)
        if value is not None:
            verdict = "met" if target.is_met(value) else "**missed**"
            lines.append(f"| {target.what} | {target.bound} | {value:.3g} | {verdict} |")
    return "## Targets\n" + "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _render_case(case: Case, rows: list[Row]) -> str:
    if not rows:
        return ""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    bare = [row for row in rows if row["contender"] == Bare.name]
    has_bare = any("figures" in row for row in bare)
    titles = ["contender", "n"]
    for figure in case.figures:
        titles.append(figure.title)
        if figure.has_ratio and has_bare:
            titles.append("÷ bare")
    titles.append("others, cores")
    lines = [f"### {case.name}: {case.title}", "| " + " | ".join(titles) + " |"]
    lines.append("|---|" + "---:|" * (len(titles) - 1))
    for name in names:
        own = [row for row in rows if row["contender"] == name]
        lines.append("| " + " | ".join(_cells(case, name, own, bare if has_bare else [])) + " |")
    lines += [f"\nNot measured: {name}: {why}." for name, why in _failures(rows)]
    return "\n".join(lines) + "\n"


def _cells(case: Case, name: str, rows: list[Row], bare: list[Row]) -> Iterable[str]:
    good = [row for row in rows if "figures" in row]
    yield name
    yield f"{len(good)}" + (f" of {len(rows)}" if len(good) < len(rows) else "")
    for figure in case.figures:
        yield render_value(values_of(good, figure.key), figure.digits)
        if figure.has_ratio and bare:
            ratio = ratio_to(good, bare, figure.key)
            yield f"{ratio:.2f}" if ratio is not None else "–"
    noise = [row["others"] for row in good]
    yield f"{statistics.median(noise):.2f}" if noise else "–"


def _failures(rows: list[Row]) -> list[tuple[str, str]]:
    """Each reason once."""
    return list(dict.fromkeys((row["contender"], row["failed"]) for row in rows if "failed" in row))
