"""Credentials: read in three forms, sent in one, shown in none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.auth import Credentials, bearer, read_credentials
from thermos.errors import UserError

#: Contents of a file with the principal `us` and the secret `s:e=c ret` (or `s:e=cret` where a blank ends it).
FORMS = {
    'json: {"principal": "us", "secret": "s:e=c ret"}': "s:e=c ret",
    "properties: principal=us\nsecret = s:e=c ret\n": "s:e=c ret",
    "aurora: # ours\naurora_authentication_principal=us\n\naurora_authentication_secret=s:e=c ret": "s:e=c ret",
    "words: us s:e=cret\n": "s:e=cret",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_file(form: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(form.partition(": ")[2])
    assert read_credentials(file) == Credentials("us", FORMS[form])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hunter2",
        b"secret=hunter2",
        b"principal=us\nsecret=",
        b'{"principal": "us", "secret": 5, "x": "hunter2"}',
        b'["hunter2"]',
        b'{"principal": "us", "secret": "hunter2"',
        b"{" * 60_000,
        b"principal=u:s\nsecret=hunter2",
        b"\xff\xfehunter2",
        b"hunter2 " * 20_000,
    ],
)
def test_a_file_that_holds_none_is_not_repeated(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"\Acannot (read|use)") as caught:
        read_credentials(file)
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_credentials(tmp_path / "none")
    with pytest.raises(UserError, match="Is a directory"):
        read_credentials(tmp_path)


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(Credentials("us", "hunter2"))


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_the_header_says_both_or_they_are_refused(principal: str, secret: str) -> None:
    try:
        header = Credentials(principal, secret).header()
    except UserError:
        return
    word, _, value = header.partition(" ")
    assert word == "Basic"
    assert base64.b64decode(value).decode().split(":", 1) == [principal, secret]


@pytest.mark.parametrize("bad", ["", "a b", "a\nb", "ä", "a\x00"])
def test_a_token_that_would_break_the_header(bad: str) -> None:
    with pytest.raises(UserError):
        bearer(bad)


def test_a_token() -> None:
    assert bearer("e30.e30.x") == "Bearer e30.e30.x"
