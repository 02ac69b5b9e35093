"""Who asks: headers, passwords as they are and hashed, a file that is read anew."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from scheduler import auth
from scheduler.auth import UNSECURE, Authenticator, Unauthenticated, hash_password, matches_password
from scheduler.core.permissions import ADMIN, Call
from thermos.errors import ConfigError, HostError, UserError

HASHED = hash_password("geheim", b"salt")


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "security.ini"
    path.write_text(f"[users]\nplain = pä:ss, admin\nhashed = {HASHED}, none\n[roles]\nadmin = *\nnone =\n")
    path.chmod(0o600)
    return path


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


def test_without_a_file_everybody_may(tmp_path: Path) -> None:
    async def test() -> None:
        door = Authenticator(None)
        assert not door.is_on
        assert await door.who("") == UNSECURE
        assert await door.who("Basic nonsense") == UNSECURE
        assert door.may(UNSECURE, Call(ADMIN, "snapshot"))

    run(test)


def test_who_it_is(file: Path) -> None:
    async def test() -> None:
        door = Authenticator(file)
        assert door.is_on
        assert await door.who("") is None
        for _ in range(2):
            assert await door.who(basic("plain", "pä:ss")) == "plain"
            assert await door.who(basic("hashed", "geheim").replace("Basic", "bAsIc ")) == "hashed"
        wrong = [
            basic("plain", "pä:s"), basic("plain", ""), basic("hashed", HASHED), basic("stranger", "x"),
            basic("", ""), basic(UNSECURE, ""), "Basic", "Basic !", "Bearer x", "Digest x", "plain:pä:ss",
            "Basic " + base64.b64encode(b"plain").decode(), "Basic " + base64.b64encode(b"\xff:\xff").decode(),
            "Basic " + "A" * 10_000,
        ]  # fmt: skip
        for header in wrong:
            with pytest.raises(Unauthenticated):
                await door.who(header)
        assert door.failures == len(wrong)
        assert door.may("plain", Call(ADMIN, "snapshot"))
        assert not door.may("hashed", Call(ADMIN, "snapshot"))
        assert not door.may(UNSECURE, Call(ADMIN, "snapshot"))

    run(test)


def test_a_hash_is_worked_out_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[str] = []

    def counted(stored: str, password: str) -> bool:
        worked.append(password)
        return matches_password(stored, password)

    monkeypatch.setattr(auth, "matches_password", counted)

    async def test() -> None:
        door = Authenticator(file)
        for _ in range(5):
            await door.who(basic("hashed", "geheim"))
        assert worked == ["geheim"]
        with pytest.raises(Unauthenticated):
            await door.who(basic("hashed", "other"))
        assert worked == ["geheim", "other"], "only what was right is remembered"
        door.reload()
        await door.who(basic("hashed", "geheim"))
        assert worked[-1] == "geheim", "and not for longer than the file"

    run(test)


@pytest.mark.parametrize("name", ["stranger", "plain", "hashed"])
def test_everybody_takes_as_long(file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A hash is worked out for each name, whether it is there or not."""
    compared: list[str] = []
    monkeypatch.setattr(auth, "matches_password", lambda stored, password: compared.append(stored) or False)

    async def test() -> None:
        with pytest.raises(Unauthenticated):
            await Authenticator(file).who(basic(name, "x"))
        assert compared.count(HASHED) == 1

    run(test)


def test_a_stranger_with_somebodys_password_stays_one(file: Path) -> None:
    async def test() -> None:
        with pytest.raises(Unauthenticated):
            await Authenticator(file).who(basic("stranger", "geheim"))

    run(test)


def test_the_file_is_read_anew(file: Path) -> None:
    async def test() -> None:
        door = Authenticator(file)
        await door.who(basic("plain", "pä:ss"))
        file.write_text("[users]\nplain = new\n")
        door.reload()
        assert await door.who(basic("plain", "new")) == "plain"
        with pytest.raises(Unauthenticated):
            await door.who(basic("plain", "pä:ss"))
        file.write_text("nonsense")
        with pytest.raises(ConfigError):
            door.reload()
        assert await door.who(basic("plain", "new")) == "plain", "a broken file changes nothing"

    run(test)


def test_careless_files_are_told(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.chmod(0o644)
    file.write_text("[users]\na = x, stray\n")
    with caplog.at_level(logging.WARNING):
        Authenticator(file)
    assert [record.message for record in caplog.records] == [
        f"others may read the passwords in {file}: chmod o= {file}",
        f"nothing is permitted to the role stray: it is not in [roles] of {file}",
    ]


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot read .*: No such file"):
        Authenticator(tmp_path / "none")
    with pytest.raises(HostError, match="cannot read"):
        Authenticator(tmp_path)
    bad = tmp_path / "bad"
    bad.write_bytes(b"\xff")
    with pytest.raises(UserError, match="not UTF-8"):
        Authenticator(bad)
    bad.write_text("#" * (auth.MAX_FILE + 1))
    with pytest.raises(UserError, match="larger than"):
        Authenticator(bad)


@pytest.mark.parametrize(
    "damaged",
    [
        "$scrypt$", "$scrypt$14$8$1$c2FsdA$", HASHED[:-1], HASHED + "$",
        *(HASHED.replace("$14$", f"${n}$") for n in ("99", "x", "20", "0")),
        *(HASHED.replace("$8$", f"${n}$") for n in ("0", "-8", "1000")),
    ],
)  # fmt: skip
def test_a_damaged_hash(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "f"
    file.write_text(f"[users]\na = {damaged}\n")
    with pytest.raises(UserError, match="the hash of a's password is damaged"):
        Authenticator(file)
    assert not matches_password(damaged, "geheim")


def test_the_command_makes_hashes() -> None:
    def ask(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scheduler.auth"], input=text, capture_output=True, text=True, env=os.environ
        )

    told = ask("geheim\n")
    assert (told.returncode, told.stderr) == (0, "")
    assert matches_password(told.stdout.strip(), "geheim")
    assert not matches_password(told.stdout.strip(), "Geheim")
    assert told.stdout != ask("geheim\n").stdout, "salted"
    assert ask("\n").returncode == 2
