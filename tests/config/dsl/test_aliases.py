"""What imports mean while a user's file runs, and that nothing of it stays."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import config
from config import dsl
from config.dsl.aliases import OUR_PACKAGES, serving

SUBMODULES = ["base", "basic", "choice", "composite", "config", "container", "matcher", "naming", "parsing", "typing"]


@pytest.fixture(autouse=True)
def nothing_stays():
    before, path, finders = dict(sys.modules), list(sys.path), list(sys.meta_path)
    yield
    changed = {name for name, module in sys.modules.items() if before.get(name, module) is not module}
    assert changed == set()
    assert sys.modules["config"] is config
    assert (sys.path, sys.meta_path) == (path, finders)


def run(text: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(text, "x.aurora", "exec"), names)
    return names


def test_the_star_import_gives_our_language() -> None:
    with serving():
        names = run("from pystachio import *")
    assert {name for name in names if not name.startswith("__")} == set(dsl.LANGUAGE)
    assert all(names[name] is getattr(dsl, name) for name in dsl.LANGUAGE)


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_are_served(name: str) -> None:
    with serving(extra={"config": {"Config": "the loader's"}}):
        names = run(f"import pystachio.{name}\nfrom pystachio.{name} import *\nimport pystachio as p\nm = p.{name}")
        module = names["m"]
        assert isinstance(module, ModuleType)
        assert not hasattr(module, "__file__")
    assert name == "config" or set(names) & {*dir(dsl), "ListContainer", "SimpleObject", "Any"}
    assert name != "config" or names["Config"] == "the loader's"


def test_the_installed_pystachio_is_there_again_afterwards() -> None:
    import pystachio as installed

    with serving():
        import pystachio as served

        assert served.String is dsl.String
    import pystachio as after

    assert after is installed
    assert after.String is not dsl.String


def test_plain_names_reach_the_users_modules(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("from settings import x\n")
    (tmp_path / "settings.py").write_text("x = 'mine'\n")
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "__init__.py").write_text("from client import deep\n")
    (tmp_path / "client" / "deep.py").write_text("y = 2\n")
    with serving(str(tmp_path)):
        names = run("import config, client\nx, y = config.x, client.deep.y")
    assert (names["x"], names["y"]) == ("mine", 2)
    assert "settings" not in sys.modules


def test_two_configs_have_their_own_modules_of_one_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.py").write_text(f"x = {name!r}\n")
        with serving(str(tmp_path / name)):
            assert run("from settings import x")["x"] == name


@pytest.mark.parametrize("name", OUR_PACKAGES)
def test_a_plain_name_that_the_user_does_not_have_is_not_ours(name: str, tmp_path: Path) -> None:
    for directory in (None, str(tmp_path)):
        with (
            serving(directory),
            pytest.raises(ModuleNotFoundError, match=f"No module named '{name}' beside the config"),
        ):
            run(f"import {name}")


def test_everything_is_put_back_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), serving(str(tmp_path)):
        run("import pystachio\n1 / 0")


def test_serving_may_be_nested(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("x = 1\n")
    with serving():
        import pystachio as outer

        with serving(str(tmp_path)):
            assert run("import config")["config"].x == 1  # type: ignore[attr-defined]
        import pystachio as again

        assert again is outer
        with pytest.raises(ModuleNotFoundError):
            run("import config")


def test_structs_of_a_users_file_are_ours() -> None:
    with serving():
        names = run(
            "from pystachio.composite import *\nfrom pystachio import String\n"
            "class P(Struct):\n  a = Required(String)\np = P(a='{{x}}').bind(x=1)"
        )
    assert names["p"].resolve().data == {"a": "1"}  # type: ignore[attr-defined]
