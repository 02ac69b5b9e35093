"""One pass over a job or task: its plain data, what is wrong with it, and where references stand that are still open.

Rules work on plain data and answer with `Finding`s; `Evaluation.problem` gives a finding the words and the place of
the object that it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from config.core.finding import Finding, Path
from config.core.problem import Place, Problem, Severity
from config.dsl import Namable, Object, Ref
from config.dsl.report import Report, Site


class Evaluation(NamedTuple):
    """What one pass has found; `refs` maps the address of an open reference to the fields that contain it.

    `told` has the (address, field) that one of the problems speaks of already; `refused` is what constructors refused,
    `lost` the fields that are not set because of it.
    """

    root: Any
    data: Any
    problems: list[Problem]
    refs: Mapping[str, list[str]]
    places: Mapping[str, Place | None]
    told: frozenset[tuple[str, str]]
    refused: list[Problem]
    lost: frozenset[str]

    def problem(self, finding: Finding) -> Problem:
        """The finding as a problem of this object."""
        severity = Severity.WARNING if finding.warning else Severity.ERROR
        return Problem(finding.text, self.words, field_text(finding.path), place_at(self.root, finding.path), severity)

    def problem_in(self, text: str, field: str) -> Problem:
        """An error in a field that was met in the pass."""
        return Problem(text, self.words, field, self.places.get(field))

    @property
    def words(self) -> str:
        """The object in words: Job `web`."""
        kind = type(self.root).__name__
        name = self.data.get("name") if isinstance(self.data, dict) else None
        return f"{kind} `{name[:60]}`" if isinstance(name, str) and name else kind

    def open_refs(self, is_allowed: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
        """(address, field) of the open references that are not allowed and not told of."""
        for address, fields in self.refs.items():
            if not is_allowed(address):
                yield from ((address, field) for field in fields if (address, field) not in self.told)


def evaluate(root: Object) -> Evaluation:
    """Resolve `root` in one pass."""
    report = Report(root)
    data = root._plain(None, report, None, "")
    refs: dict[str, list[str]] = {}
    places: dict[str, Place | None] = {}
    for ref, sites in report.unbound.items():
        for site in dict.fromkeys(sites):
            at = report.problem_at("", site)
            places[at.field] = at.place
            refs.setdefault(ref.address(), []).append(at.field)
    told = {(ref.address(), _field_of(report, site)) for ref, site in report.told}
    if report.lost:
        keys = {site.key for site in report.lost}
        led_there = [ref.address() for ref in report.unbound if not keys.isdisjoint(ref.keys)]
        told.update((address, field) for address in led_there for field in refs[address])
    lost = frozenset(_field_of(report, site) for site in report.lost)
    return Evaluation(root, data, report.problems, refs, places, frozenset(told), report.refused, lost)


def _field_of(report: Report, site: Site) -> str:
    return report.problem_at("", site).field


def field_text(path: Path) -> str:
    """`("task", "processes", 1, "name")` as `task.processes[1].name`."""
    return "".join(_step(step) for step in path).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return step if step.startswith("[") else f".{step}"


def place_at(root: Any, path: Path) -> Place | None:
    """The line that made the innermost struct on the path."""
    for end in range(len(path), 0, -1):
        address = field_text(path[:end])
        try:
            found = root.find(Ref.from_address(address))
        except (Namable.Error, Ref.InvalidRefError):
            continue
        place = found._place() if isinstance(found, Object) else None
        if place is not None:
            return place
    return root._place() if isinstance(root, Object) else None
