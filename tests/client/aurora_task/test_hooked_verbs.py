"""Hooks and plugins of the site around verbs as they are typed."""

from __future__ import annotations

import pytest

from client.aurora import dispatch
from tests.client.aurora_task.site import KEY, Done, Site

HOOKS = """
class Stop(Exception):
    code = 9

class Guard:
    name = 'guard'
    def get_nouns(self):
        return ['task']
    def get_verbs(self, noun):
        return ['run']
    def pre_command(self, noun, verb, context, commandline):
        context.print_err(f'{noun} {verb} {commandline[-1]} {context.options["threads"]}')
        return 17 if 'rm' in commandline[-1] else 0
    def post_command(self, noun, verb, context, commandline, result):
        print('well done')

class Words:
    def before_dispatch(self, args):
        if 'forbidden' in args:
            raise Stop('no such words here')
        return ['echo long' if word == 'short' else word for word in args]
    def before_execution(self, context):
        if context.options.get('ssh_user') == 'root':
            raise Stop('not as root')
    def after_execution(self, context, code):
        print('code', int(code))

hooks = [Guard, Words]
"""


def run(site: Site, *words: str) -> Done:
    site.task(0)
    (site.home / ".aurora/hooks.py").write_text(HOOKS)
    dispatch.site.cache_clear()
    return site.aurora("task", "run", *words)


def test_they_stand_around_the_verb(site: Site) -> None:
    done = run(site, "-t", "7", KEY, "short")
    assert done == (0, "host0:  long\n", "task run echo long 7\nwell done\ncode 0\n")


def test_a_hook_refuses(site: Site) -> None:
    done = run(site, KEY, "rm -r x")
    assert done == (17, "", "task run rm -r x 1\naurora: Command aborted by command hook guard\ncode 17\n")
    assert site.told("ssh") == []


@pytest.mark.parametrize("skip", ["all", "guard"])
def test_a_hook_is_skipped(site: Site, skip: str) -> None:
    assert run(site, KEY, "rm -f x", f"--skip-hooks={skip}") == (0, "", "code 0\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [(["forbidden", "x"], "Words.before_dispatch: Stop: no such words here"),
     (["-l", "root", KEY, "true"], "Words.before_execution: Stop: not as root")],
)  # fmt: skip
def test_a_plugin_refuses(site: Site, words: list[str], text: str) -> None:
    assert run(site, *words) == (9, "", f"aurora: Error in configuration plugin {text}\n")
    assert site.told("ssh") == []


def test_a_broken_file_ends_every_verb_but_not_help(site: Site) -> None:
    (site.home / ".aurora/hooks.py").write_text("hooks = [")
    done = site.aurora("task", "run", KEY, "true")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"aurora: {site.home}/.aurora/hooks.py:1: SyntaxError: ")
    assert site.aurora("--help").code == 0
