"""Paths from URLs, pages of lists, the old JSON shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.core.listing import MAX_ROWS, Listed, select
from observer.core.old_json import data_json, process_json, task_json
from observer.core.sandbox_path import Refused, encode_path, is_inside, shown, split_path
from observer.core.views import Chunk, IndexRow, Kind, Sort, UsageNow
from tests.observer.core.test_build import begun, source, spec
from tests.thermos.core.samples import forked, lost, running, starting, whole_run


class TestPaths:
    @pytest.mark.parametrize(
        "text", ["..", "a/../b", "%2e%2e", "a/%2E%2e/b", "a%2fb", "a%00", "%00", "x" * 300, "a/" * 5000]
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(Refused):
            split_path(text)

    def test_decoded_once(self) -> None:
        assert split_path("a%20b/%252e%252e/ü//./c") == ("a b", "%2e%2e", "ü", "c")
        assert split_path("") == ()
        assert split_path("%ff") == ("\udcff",)
        assert shown("\udcff") == "\ufffd"

    def test_siblings_are_outside(self) -> None:
        assert is_inside("/s/task-1/x", "/s/task-1")
        assert is_inside("/s/task-1", "/s/task-1/")
        assert not is_inside("/s/task-12/x", "/s/task-1")
        assert not is_inside("/s", "/s/task-1")
        assert not is_inside("", "/s")
        assert not is_inside("x", "")

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
    def test_encoding_and_back(self, names: list[bytes]) -> None:
        good = [n for n in names if b"/" not in n and b"\0" not in n and n not in (b".", b"..")]
        clean = tuple(n.decode("utf-8", "surrogateescape") for n in good)
        assert split_path(encode_path(clean)) == clean

    @given(st.text())
    def test_whatever_comes_in_no_name_leads_up(self, text: str) -> None:
        try:
            names = split_path(text)
        except Refused:
            return
        assert not any(name in ("..", ".", "") or "/" in name or "\0" in name for name in names)


def row(key: str, **more: object) -> IndexRow:
    return IndexRow(key=key, ref=key, task_id=key, root="/", active=True, **more)  # type: ignore[arg-type]


class TestLists:
    tasks = [
        Listed("a", "a", True, 3.0, row("a", name="web", state="ACTIVE", usage=UsageNow(cpu=0.5))),
        Listed("b", "b", True, 1.0, row("b", name="db", state="CLEANING", usage=UsageNow(cpu=2.0))),
        Listed("c", "c", False, 9.0),
        Listed("d", "d-web", False, 5.0),
    ]

    def pick(self, kind: Kind = Kind.ALL, query: str = "", sort: Sort = Sort.CHANGED, reverse: bool = False,
             offset: int = 0, num: int = 20) -> list[str]:  # fmt: skip
        page = select(self.tasks, kind=kind, query=query, sort=sort, reverse=reverse, offset=offset, num=num)
        return list(page.keys)

    def test_newest_first(self) -> None:
        assert self.pick() == ["c", "d", "a", "b"]
        assert self.pick(reverse=True) == ["b", "a", "d", "c"]

    def test_kinds(self) -> None:
        assert self.pick(Kind.ACTIVE) == ["a", "b"]
        assert self.pick(Kind.FINISHED) == ["c", "d"]

    def test_search(self) -> None:
        assert self.pick(query="WEB") == ["d", "a"]
        assert self.pick(query="web active") == ["a"]

    def test_sorts(self) -> None:
        assert self.pick(Kind.ACTIVE, sort=Sort.CPU) == ["b", "a"]
        assert self.pick(Kind.ACTIVE, sort=Sort.NAME) == ["b", "a"]
        assert self.pick(sort=Sort.ID) == ["a", "b", "c", "d"]

    def test_pages_and_negative_offsets(self) -> None:
        assert self.pick(offset=1, num=2) == ["d", "a"]
        assert self.pick(offset=-1) == ["b"]
        assert self.pick(offset=-100) == ["c", "d", "a", "b"]
        assert self.pick(offset=10**12) == []
        assert self.pick(num=-3) == []

    def test_a_page_is_bounded(self) -> None:
        many = [Listed(str(i), str(i), False, float(i)) for i in range(2 * MAX_ROWS)]
        page = select(many, kind=Kind.ALL, query="", sort=Sort.CHANGED, reverse=False, offset=0, num=10**9)
        assert (len(page.keys), page.total) == (MAX_ROWS, 2 * MAX_ROWS)


class TestOldJson:
    def test_buckets_are_the_originals(self) -> None:
        records = begun(
            *whole_run("ok"), *whole_run("bad", code=1), *whole_run("cut", code=None, signal=9),
            starting("fresh", 0), starting("half", 0), forked("half", 0), starting("gone", 0), lost("gone", 0),
            starting("up", 0), forked("up", 0), running("up", 0),
        )  # fmt: skip
        names = ("ok", "bad", "cut", "fresh", "half", "gone", "up", "never")
        told = task_json(source(records, spec(*names)), [])
        assert told["processes"] == {
            "waiting": ["fresh", "gone", "never"],
            "running": ["half", "up"],
            "success": ["ok"],
            "failed": ["bad"],
            "killed": ["cut"],
        }
        assert set(told) >= {
            "task_id", "name", "user", "launch_timestamp", "state", "state_timestamp", "ports", "resource_consumption",
            "processes", "task",
        }  # fmt: skip
        assert (told["launch_timestamp"], told["state_timestamp"]) == (2, 2)
        assert told["task"]["processes"][0]["name"] == "ok"

    @pytest.mark.parametrize(("code", "signal", "told"), [(0, None, 0), (3, None, 3), (None, 9, -9)])
    def test_return_codes_of_all_ends(self, code: int | None, signal: int | None, told: int) -> None:
        shape = process_json(source(begun(*whole_run("a", code=code, signal=signal)), spec("a")), "a")
        assert shape["return_code"] == told
        assert shape["stop_time"] == 13.0

    def test_a_run_by_number_and_unknown_ones(self) -> None:
        made = source(begun(*whole_run("a", 0, code=1), *whole_run("a", 1, 20.0)), spec("a", "b", max_failures=3))
        assert process_json(made, "a")["process_run"] == 1
        assert process_json(made, "a", 0)["return_code"] == 1
        assert process_json(made, "a", 9) == {}
        assert process_json(made, "nope") == {}
        assert process_json(made, "b") == {"process_name": "b", "process_run": 0, "state": "WAITING"}

    def test_used_only_while_it_runs(self) -> None:
        records = begun(starting("a", 0), forked("a", 0), running("a", 0))
        made = source(records, spec("a"))
        made.measured.processes["a"] = UsageNow(cpu=0.25, user=3.0)
        assert process_json(made, "a")["used"]["user"] == 3.0
        assert "disk" not in process_json(made, "a")["used"]

    def test_text_is_escaped(self) -> None:
        assert data_json(Chunk(0, 3, 3, 1, "<b>"))["data"] == "&lt;b&gt;"
        assert data_json(None) == {}
