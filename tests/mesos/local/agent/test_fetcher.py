"""The fetcher: files, downloads, archives, the cache, and all that it refuses."""

from __future__ import annotations

import asyncio
import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from mesos.core.messages import CommandURI
from mesos.local.fetcher import Fetcher, FetchLimits, Sandbox
from tests.mesos.local.agent.silent import SilentServer
from thermos.errors import ThermosError


def fetch(tmp_path: Path, *uris: CommandURI, limits: FetchLimits | None = None, times: int = 1) -> Path:
    sandbox = tmp_path / "sandbox"

    async def main() -> None:
        fetcher = Fetcher(tmp_path / "cache", limits or FetchLimits())
        try:
            for number in range(times):
                shutil.rmtree(sandbox, ignore_errors=True)
                sandbox.mkdir()
                with (tmp_path / f"log{number}").open("wb", buffering=0) as log:
                    await fetcher.fetch(uris, Sandbox(sandbox, log=log))
        finally:
            await fetcher.close()

    asyncio.run(main())
    return sandbox


def serve(tmp_path: Path, answer: Callable[[web.Request], web.StreamResponse], use: Callable[[str], None]) -> None:
    """`use` runs in a thread while a server answers at the URL that it gets."""

    async def main() -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return answer(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            await asyncio.to_thread(use, f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()

    asyncio.run(main())


def archive(tmp_path: Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        info = tarfile.TarInfo("pack/inner.txt")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"inner"))
    return data.getvalue()


def test_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("plain")
    (tmp_path / "run").write_text("#!/bin/sh")
    sandbox = fetch(
        tmp_path,
        CommandURI(value=f"file://{tmp_path}/a%20b.txt"),
        CommandURI(value=str(tmp_path / "run"), executable=True),
        CommandURI(value=str(tmp_path / "run"), output_file="deep/er/name"),
    )
    assert (sandbox / "a b.txt").read_text() == "plain"
    assert (sandbox / "run").stat().st_mode & 0o111 == 0o111
    assert (sandbox / "deep/er/name").read_text() == "#!/bin/sh"


def test_archives(tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(archive(tmp_path))
    (tmp_path / "y.gz").write_bytes(gzip.compress(b"unpacked"))
    sandbox = fetch(
        tmp_path,
        CommandURI(value=str(tmp_path / "x.tgz")),
        CommandURI(value=str(tmp_path / "y.gz")),
        CommandURI(value=str(tmp_path / "x.tgz"), extract=False, output_file="kept.tgz"),
        CommandURI(value=str(tmp_path / "x.tgz"), executable=True, output_file="program.tgz"),
    )
    assert (sandbox / "pack/inner.txt").read_text() == "inner"
    assert (sandbox / "x.tgz").exists()
    assert (sandbox / "y").read_text() == "unpacked"
    assert (sandbox / "kept.tgz").exists()
    assert (sandbox / "program.tgz").stat().st_mode & 0o111


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip here")
def test_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("pack/inner.txt", "inner")
    sandbox = fetch(tmp_path, CommandURI(value=str(tmp_path / "x.zip")))
    assert (sandbox / "pack/inner.txt").read_text() == "inner"


def test_an_archive_does_not_leave_the_sandbox(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("../outside.txt")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    (tmp_path / "evil.tar").write_bytes(data.getvalue())
    with pytest.raises(ThermosError):
        fetch(tmp_path, CommandURI(value=str(tmp_path / "evil.tar")))
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize(
    "uri",
    [
        CommandURI(value="/does/not/exist"),
        CommandURI(value="relative/path"),
        CommandURI(value="hdfs://x/y"),
        CommandURI(value="/"),
        CommandURI(value="/etc"),
        CommandURI(value="/dev/null"),
        CommandURI(value="/etc/passwd", output_file="/tmp/x"),
        CommandURI(value="/etc/passwd", output_file="../x"),
        CommandURI(value="http://127.0.0.1:1/x"),
        CommandURI(value="http://"),
        CommandURI(value="http://[::1"),
        CommandURI(value="http://a:99999999/x"),
        CommandURI(value="/etc/pass\0wd"),
        CommandURI(value="/etc/passwd", output_file="a\0b"),
    ],
    ids=lambda uri: ascii(f"{uri.value} {uri.output_file}"),
)
def test_refusals_name_the_uri(tmp_path: Path, uri: CommandURI) -> None:
    with pytest.raises(ThermosError) as caught:
        fetch(tmp_path, uri)
    assert str(caught.value).startswith("cannot fetch")
    assert uri.value.replace("\0", "\\x00") in str(caught.value)


def test_an_archive_is_kept_as_it_is_and_no_task_gets_the_cookies_of_another(tmp_path: Path) -> None:
    """Servers that say Content-Encoding: gzip of a .gz file are common."""
    data = archive(tmp_path)
    asked: list[tuple[str | None, str | None]] = []

    def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.headers.get("Accept-Encoding"), request.headers.get("Cookie")))
        return web.Response(body=data, headers={"Content-Encoding": "gzip", "Set-Cookie": "secret=1; Path=/"})

    def use(url: str) -> None:
        sandbox = fetch(tmp_path, *(CommandURI(value=f"{url.replace('127.0.0.1', 'localhost')}/x.tgz") for _ in "ab"))
        assert (sandbox / "x.tgz").read_bytes() == data
        assert (sandbox / "pack/inner.txt").read_text() == "inner"

    serve(tmp_path, answer, use)
    assert asked == [("identity", None)] * 2


def test_a_link_in_an_archive_is_no_way_out(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        for name in ("out/through.txt", "/absolute.txt"):
            info = tarfile.TarInfo(name if name[0] != "/" else f"{tmp_path}{name}")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    (tmp_path / "evil.tar").write_bytes(data.getvalue())
    with pytest.raises(ThermosError):
        fetch(tmp_path, CommandURI(value=str(tmp_path / "evil.tar")))
    assert not (tmp_path / "through.txt").exists()
    assert not (tmp_path / "absolute.txt").exists()


def test_programs_of_the_fetcher_do_not_get_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run as the container's user, who may look into them. Here it would turn what tar does around."""
    (tmp_path / "x.tgz").write_bytes(archive(tmp_path))
    monkeypatch.setenv("TAR_OPTIONS", "--transform=s/inner/outer/")
    assert (fetch(tmp_path, CommandURI(value=str(tmp_path / "x.tgz"))) / "pack/inner.txt").exists()


def test_downloads_and_the_cache(tmp_path: Path) -> None:
    asked: list[str] = []
    data = archive(tmp_path)

    def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=data) if request.path != "/404" else web.Response(status=404)

    def use(url: str) -> None:
        cached = CommandURI(value=f"{url}/c/x.tgz", cache=True)
        sandbox = fetch(tmp_path, cached, CommandURI(value=f"{url}/once.tgz", extract=False), times=2)
        assert (sandbox / "pack/inner.txt").read_text() == "inner"
        assert (sandbox / "once.tgz").read_bytes() == data
        with pytest.raises(ThermosError, match="404"):
            fetch(tmp_path, CommandURI(value=f"{url}/404"))

    serve(tmp_path, answer, use)
    assert asked == ["/c/x.tgz", "/once.tgz", "/once.tgz", "/404"]
    assert len(list((tmp_path / "cache").iterdir())) == 1  # the cached one


@pytest.mark.parametrize(("uid", "mode"), [(0, 0o755), (1000, 0o700)])
def test_the_cache_is_for_whoever_tasks_run_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, mode: int
) -> None:
    monkeypatch.setattr("mesos.local.fetcher.os.geteuid", lambda: uid)

    def use(url: str) -> None:
        fetch(tmp_path, CommandURI(value=f"{url}/x"))

    serve(tmp_path, lambda _: web.Response(body=b"x"), use)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == mode


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    def use(url: str) -> None:
        uris = [CommandURI(value=f"{url}/{n}", cache=True) for n in range(5)]
        fetch(tmp_path, *uris, limits=FetchLimits(cache_bytes=2500))

    serve(tmp_path, lambda _: web.Response(body=b"x" * 1000), use)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_downloads_are_bounded(tmp_path: Path) -> None:
    def use(url: str) -> None:
        with pytest.raises(ThermosError, match="more than 1000 bytes"):
            fetch(tmp_path, CommandURI(value=f"{url}/big"), limits=FetchLimits(download_bytes=1000))

    serve(tmp_path, lambda _: web.Response(body=b"x" * 1001), use)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_server_that_stalls(tmp_path: Path) -> None:
    async def main() -> None:
        async with SilentServer() as server:
            fetcher = Fetcher(tmp_path / "cache", FetchLimits(stall_s=0.2))
            try:
                with pytest.raises(ThermosError, match="cannot fetch"):
                    await fetcher.fetch([CommandURI(value=f"http://127.0.0.1:{server.port}/x")], Sandbox(tmp_path))
            finally:
                await fetcher.close()

    asyncio.run(main())
