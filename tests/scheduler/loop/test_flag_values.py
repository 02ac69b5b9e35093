"""Values of flags, as the original wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler import flag_values as values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5mins", 300.0), ("30secs", 30.0), ("1ms", 0.001), ("21days", 21 * 86400.0), ("1hrs", 3600.0), ("1.5mins", 90.0),
     ("0secs", 0.0), (" 10 secs ", 10.0), ("250us", 0.00025), ("1000ns", 1e-6)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert values.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("128MB", 128), ("1GB", 1024), ("512KB", 1), ("2048KB", 2), ("0MB", 0), ("1.5gb", 1536), ("1TB", 1 << 20)],
)
def test_amounts(text: str, megabytes: int) -> None:
    assert values.parse_megabytes(text) == megabytes


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ()), ("a", ("a",)), ("a,b", ("a", "b")), (" a , b ,", ("a", "b")), ("[MESOS]", ("MESOS",)), ("[]", ())],
)
def test_lists(text: str, words: tuple[str, ...]) -> None:
    assert values.parse_list(text) == words


def test_truths_and_numbers() -> None:
    assert [values.parse_truth(text) for text in ("true", "FALSE", "1", "no")] == [True, False, True, False]
    assert (values.parse_count("40"), values.parse_number("0.25"), values.parse_port("65535")) == (40, 0.25, 65535)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (values.parse_duration, "5"), (values.parse_duration, "5 parsecs"), (values.parse_duration, "-5secs"),
        (values.parse_duration, ""), (values.parse_duration, "mins"), (values.parse_duration, "99999999days"),
        (values.parse_megabytes, "128"), (values.parse_megabytes, "-1MB"), (values.parse_megabytes, "1PBs"),
        (values.parse_truth, "maybe"), (values.parse_count, "-1"), (values.parse_count, "1.5"),
        (values.parse_number, "nan"), (values.parse_number, "1e9"), (values.parse_port, "65536"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_its_text(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is neither|is more") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


PARSERS = [
    values.parse_duration, values.parse_megabytes, values.parse_truth, values.parse_list, values.parse_count,
    values.parse_number, values.parse_port,
]  # fmt: skip


@given(st.sampled_from(PARSERS), st.text(max_size=40))
def test_any_text_is_a_value_or_refused(parse: Callable[[str], Any], text: str) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    if isinstance(value, float | int):
        assert 0 <= value < float("inf")
