"""The template environment: autoescape always on, an unknown name is an error, filters from `web.format`."""

from __future__ import annotations

from pathlib import Path

import jinja2

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
    )
    environment.filters.update(
        clock=format.clock,
        iso=format.iso,
        ago=format.ago,
        segment=format.segment,
        web_url=format.web_url,
        shown=format.shown,
        size=words.size_words,
        duration=words.duration_words,
        cores=words.cores_words,
    )
    environment.globals.update(asset=assets.url, counted=words.count_words)
    return environment
