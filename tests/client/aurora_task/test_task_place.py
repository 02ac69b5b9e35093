"""What goes to a shell on a host means what it says, whatever the paths and references are."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from client.aurora.task_place import TaskPlace, in_sandbox, substitute
from client.job_keys import ClusterJobKey

PLACE = TaskPlace(ClusterJobKey("west", "www", "prod", "web"), 0, "id-0", "host0", "S-0", {"http": 0})

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(path=TEXT.map(lambda text: f"/{text}"), command=st.sampled_from(["ls", "a; b", "x | y"]))
def test_a_path_is_one_word_whatever_it_has(path: str, command: str) -> None:
    words = shlex.split(in_sandbox(path, command))
    assert words[:5] == ["cd", path, "||", "exit", "1;"]
    assert words[5:] == shlex.split(command)


@given(TEXT.filter(lambda text: "{{" not in text))
def test_text_without_references_stays(text: str) -> None:
    assert substitute(text, PLACE) == text


def test_zero_is_a_value() -> None:
    assert substitute("{{mesos.instance}}:{{thermos.ports[http]}}", PLACE) == "0:0"
