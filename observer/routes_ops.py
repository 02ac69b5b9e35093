"""For those who run the observer: health, metrics, variables, the API's own description."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from observer.asking import host_of, part
from observer.metrics import own_families, task_families, variables
from thermos.version import VERSION
from web.answers import answer
from web.asking import Problem, flag, shorten
from web.prometheus import CONTENT_TYPE, render_metrics

#: Requests answered, by status.
REQUESTS = web.AppKey("requests", Counter[int])
#: The finished OpenAPI document.
OPENAPI = web.AppKey("openapi", dict[str, object])


def _counted(request: web.Request) -> Counter[int]:
    counted: Counter[int] = request.app[REQUESTS]
    return counted


async def health(request: web.Request) -> web.Response:
    return web.Response(text="OK")


async def metrics(request: web.Request) -> web.Response:
    served = host_of(request)
    sources = [(task, await served.source(task)) for task in served.inventory.active()]
    families = await served.blocking(task_families, sources)
    body = render_metrics([*families, *own_families(served, _counted(request))])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def vars_text(request: web.Request) -> web.Response:
    known = variables(host_of(request), _counted(request))
    return web.Response(text="".join(f"{name} {value}\n" for name, value in sorted(known.items())))


async def vars_json(request: web.Request) -> web.Response:
    """`filtered=1` was understood by the original; there is nothing to filter."""
    flag(request, "filtered")
    return answer(variables(host_of(request), _counted(request)))


async def one_var(request: web.Request) -> web.Response:
    name = part(request, "name")
    known = variables(host_of(request), _counted(request))
    if name not in known:
        raise Problem(404, f"there is no variable {shorten(name)}")
    return web.Response(text=f"{known[name]}\n")


async def openapi(request: web.Request) -> web.Response:
    return answer(request.app[OPENAPI])


async def host(request: web.Request) -> web.Response:
    served = host_of(request)
    active = len(served.inventory.active())
    return answer(
        {
            "hostname": served.hostname,
            "version": VERSION,
            "active": active,
            "finished": len(served.inventory.tasks) - active,
            "event_id": served.broker.position,
            "notes": [note.text for note in served.inventory.notes()],
        }
    )
