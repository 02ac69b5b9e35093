"""`aurora task scp`: whose path is meant, what scp is told, and cp where everything is on this machine."""

from __future__ import annotations

import pytest

from tests.client.aurora_task.site import KEY, Site


def sandbox(site: Site, instance: int) -> str:
    executors = f"{site.root}/slaves/S-{instance}/frameworks/F-1/executors"
    return f"{executors}/thermos-www-prod-web-{instance}-id/runs/latest/sandbox"


def test_into_a_sandbox_and_out_of_it(site: Site) -> None:
    site.task(0)
    site.task(1, status="STARTING")
    words = ["a.txt", "-b", f"{KEY}/0:.logs/x y", f"{KEY}/1:/var/log/{{{{thermos.ports[http]}}}}", f"{KEY}/1:"]
    done = site.aurora("task", "scp", "--scp-options", "-r -P 2222", "--", *words)
    assert done == (0, "", "")
    assert site.told("scp") == [
        ["-r", "-P", "2222", "a.txt", "./-b", f"www@host0:{sandbox(site, 0)}/.logs/x y",
         "www@host1:/var/log/31001", f"www@host1:{sandbox(site, 1)}/"]
    ]  # fmt: skip


def test_the_executors_sandbox_and_another_user(site: Site) -> None:
    site.task(0, host="fe80::1")
    site.scheduler.cluster = {}  # a scheduler that is not connected to Mesos has no framework id
    assert site.aurora("task", "scp", "-l", "ops", "--executor-sandbox", f"{KEY}/0:stderr", ".").code == 0
    path = f"{site.root}/slaves/*/frameworks/*/executors/thermos-www-prod-web-0-id/runs/latest"
    assert site.told("scp") == [[f"ops@[fe80::1]:{path}/stderr", "."]]


def test_other_ends_are_for_scp(site: Site) -> None:
    site.scheduler.tasks = []
    assert site.aurora("task", "scp", "host:file", "a/b:c").code == 0
    assert site.told("scp") == [["host:file", "a/b:c"]]


def test_an_absolute_path_needs_no_slave_root(site: Site) -> None:
    site.task(0)
    del site.entry["slave_root"]
    assert site.aurora("task", "scp", f"{KEY}/0:/etc/hosts", ".").code == 0
    done = site.aurora("task", "scp", f"{KEY}/0:x", ".")
    assert done.code == 6
    assert 'has no "slave_root"' in done.err


def test_the_exit_code_is_that_of_scp(site: Site) -> None:
    site.task(0)
    site.program("scp", "#!/bin/sh\nexit 3\n")
    assert site.aurora("task", "scp", "x", f"{KEY}/0:").code == 3


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["x", f"{KEY}/0:~/x"], 6, "Command does not support tilde expansion for path: ~/x"),
        (["x", f"{KEY}/0-1:x"], 6, f"bad instance '{KEY}/0-1': write CLUSTER/ROLE/ENV/NAME/INSTANCE, e.g. "),
        (["x", f"{KEY}:x"], 6, f"bad instance '{KEY}': write CLUSTER/ROLE/ENV/NAME/INSTANCE, e.g. "),
        (["x", "east/www/prod/web/0:x"], 6, "unknown cluster 'east': there are west "),
        (["x", f"{KEY}/5:x"], 6, f"instance 5 of {KEY} is not running on a host; see "),
        (["x", f"{KEY}/0:{{{{thermos.ports[no]}}}}"], 6, "Task www-prod-web-0-id has no port named no (it has http)"),
        (["x"], 5, "Missing argument 'SOURCE...'"),
    ],
)
def test_bad_ends(site: Site, words: list[str], code: int, text: str) -> None:
    site.task(0)
    done = site.aurora("task", "scp", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"aurora: {text}")
    assert done.err.count("\n") == 1
    assert site.told("scp") == []


def test_a_cluster_of_this_machine_needs_no_scp(site: Site) -> None:
    site.root = site.tmp / "local" / "mesos" / "agent0" / "work"
    inside = site.task(0)
    site.entry["local"] = {"work_dir": str(site.tmp / "local")}
    site.program("scp", "#!/bin/sh\nexit 77\n")
    folder = site.tmp / "folder"
    folder.mkdir()
    (folder / "file").write_text("x\n")
    assert site.aurora("task", "scp", "--scp-options", "-r -q", str(folder), f"{KEY}/0:copy") == (0, "", "")
    assert (inside / "copy/file").read_text() == "x\n"
    assert site.aurora("task", "scp", f"{KEY}/0:name", str(folder)).code == 0
    assert (folder / "name").read_text() == "web 0\n"
    done = site.aurora("task", "scp", "--scp-options", "-r -P 22", f"{KEY}/0:name", str(folder))
    assert done == (6, "", "aurora: --scp-options: the cluster is on this machine, where cp copies; it has no -P\n")
