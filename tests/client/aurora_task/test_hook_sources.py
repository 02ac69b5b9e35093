"""Where hooks of a site come from, and what is said of those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.aurora.hook_sources import GROUP, SiteHooks, load_site_hooks
from thermos.errors import ConfigError

HOOKS = """
class Api:
    def pre_create_job(self, config):
        return True
class Command:
    name = 'audit'
    def pre_command(self, noun, verb, context, commandline):
        return 0
class Plugin:
    def before_dispatch(self, args):
        return args
hooks = [Api, Command(), Plugin()]
"""


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    for folder in ("site", "home/.aurora"):
        (tmp_path / folder).mkdir(parents=True)
    return {"AURORA_CONFIG_ROOT": str(tmp_path / "site"), "HOME": str(tmp_path / "home")}


def names(hooks: tuple[object, ...]) -> list[str]:
    return [type(hook).__name__ for hook in hooks]


def test_without_files_there_are_none(places: dict[str, str]) -> None:
    assert load_site_hooks(places) == SiteHooks()


def test_files_of_the_site_and_of_the_user(places: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site/hooks.py").write_text(HOOKS)
    (tmp_path / "home/.aurora/hooks.py").write_text(HOOKS.replace("class Api", "class Mine").replace("[Api", "[Mine"))
    found = load_site_hooks(places)
    assert names(found.api) == ["Api", "Mine"]
    assert names(found.command) == ["Command", "Command"]
    assert names(found.plugins) == ["Plugin", "Plugin"]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: str) -> None:
    """A package with these entry points, as an installer leaves it."""
    info = folder / "house_hooks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-hooks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}")
    monkeypatch.syspath_prepend(str(folder))


def test_hooks_of_packages(places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "house_hooks.py").write_text(
        "class One:\n    pre_command = name = None\n    def generic_hook(self, *told): pass\n"
        "class Two(One): pass\n"
        "several = [Two(), One]\n"
    )
    install(tmp_path, monkeypatch, "b = house_hooks:One\na = house_hooks:several\n")
    (tmp_path / "home/.aurora/hooks.py").write_text(HOOKS)
    assert names(load_site_hooks(places).api) == ["Two", "One", "One", "Api"]


def test_a_package_that_is_broken_is_named(
    places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "audit = no_such_module:hook\n")
    with pytest.raises(ConfigError, match=r"^cannot load hook audit \(no_such_module:hook\): ModuleNotFoundError: "):
        load_site_hooks(places)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hooks = [1]", "hooks[0] (int) has no method of a hook, such as pre_create_job or pre_command"),
        ("x = 1", "defines no hooks; put them in a list: hooks = [MyHook()]"),
        ("hooks = [", "hooks.py:1: SyntaxError: "),
        ("import nosuch", "hooks.py:1: cannot import `nosuch`"),
        (HOOKS.replace("'audit'", "'all'"), "hooks[1] (Command) needs a `name`, which must not be `all`"),
        (HOOKS.replace("    name = 'audit'\n", ""), "hooks[1] (Command) needs a `name`, which must not be `all`"),
        ("class A:\n def __init__(self, x): pass\nhooks = [A]", "hooks[0] cannot be made: TypeError: "),
    ],
)
def test_what_is_no_hook_is_named(places: dict[str, str], tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "home/.aurora/hooks.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_site_hooks(places)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "home/.aurora/hooks.py"))
