"""What a snooze file may say, and what it may be: it belongs to the task's user, and we may be root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.snooze import DEFAULT_S, MOST_S, Nap, look_for_nap


def nap_of(path: Path, text: bytes) -> Nap:
    path.write_bytes(text)
    nap = look_for_nap(path)
    assert nap is not None and nap.since == path.stat().st_ctime
    return nap


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".healthchecksnooze"


def test_no_file_no_nap(path: Path) -> None:
    assert look_for_nap(path) is None
    assert look_for_nap(path / "below") is None


@pytest.mark.parametrize("text", ["", "\n", "for a while", "-5", "1e9", "nan", "inf", "12:00", "0x10", "\0", "99" * 40])
def test_what_says_nothing_is_the_default(path: Path, text: str) -> None:
    nap = nap_of(path, text.encode())
    assert nap.until - nap.since == DEFAULT_S


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), (" 2.5 \n", 2.5), ("7200", 7200), ("99999999", MOST_S)]
)
def test_seconds(path: Path, text: str, seconds: float) -> None:
    nap = nap_of(path, text.encode())
    assert nap.until - nap.since == pytest.approx(seconds)


def test_points_of_time(path: Path) -> None:
    assert nap_of(path, b"1764158400").until == 1764158400
    assert nap_of(path, b"2025-11-26T12:00:00Z").until == 1764158400
    assert nap_of(path, b"2025-11-26T12:00:00").until == 1764158400
    assert nap_of(path, b"2025-11-26 13:00:00+01:00\n").until == 1764158400


def test_no_nap_is_for_ever(path: Path) -> None:
    for text in (b"9999-12-31T23:59:59", b"999999999999999", b"50000000"):
        nap = nap_of(path, text)
        assert nap.until - nap.since == MOST_S


def test_the_age_cannot_be_set_by_touch(path: Path) -> None:
    path.write_text("")
    os.utime(path, (4e9, 4e9))
    nap = look_for_nap(path)
    assert nap is not None and nap.since < 4e9


def test_a_link_is_not_followed_a_fifo_not_waited_for(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("90")
    path.symlink_to(secret)
    nap = look_for_nap(path)
    assert nap is not None and nap.until - nap.since == DEFAULT_S
    path.unlink()
    os.mkfifo(path)
    nap = look_for_nap(path)
    assert nap is not None and nap.until - nap.since == DEFAULT_S
    path.unlink()
    path.mkdir()
    nap = look_for_nap(path)
    assert nap is not None and nap.until - nap.since == DEFAULT_S


def test_little_is_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    nap = look_for_nap(path)
    assert nap is not None and nap.until - nap.since == DEFAULT_S


@given(text=st.binary(max_size=80))
def test_any_content_is_a_nap_with_an_end(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "nap"
    nap = nap_of(path, text)
    assert nap.until <= nap.since + MOST_S
