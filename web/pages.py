"""The template environment: autoescape always on, control characters made visible whatever a template forgets, an
unknown name is an error, filters from `web.format`.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from web import assets, format
from web.core import words

TEMPLATES = Path(__file__).parent / "templates"


def make_environment(*directories: Path) -> jinja2.Environment:
    """Templates of these directories, then those that both faces share. Nothing is read until it is shown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*directories, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_finish,
    )
    environment.filters.update(
        clock=format.clock,
        iso=format.iso,
        ago=format.ago,
        stamp=format.stamp,
        segment=format.segment,
        web_url=format.web_url,
        size=words.size_words,
        duration=words.duration_words,
        cores=words.cores_words,
    )
    environment.globals.update(asset=assets.url, counted=words.count_words)
    return environment


def _finish(value: object) -> object:
    """Plain text is untrusted: it may not hide or turn round what stands beside it. Markup was made by us."""
    return format.shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
