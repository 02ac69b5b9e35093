"""Tests here may be coroutines: each gets an event loop of its own and half a minute."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from tests.mesos.zookeeper import zookeeper

__all__ = ["zookeeper"]

DEADLINE_S = 60.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    asyncio.run(_bounded(pyfuncitem, {name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


async def _bounded(item: pytest.Function, arguments: dict[str, object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await item.obj(**arguments)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks that nobody ended: {left}"
