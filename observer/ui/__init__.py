"""The observer's pages: views in, HTML out. `render(template, view)` is all a server needs."""

from observer.ui.render import render

__all__ = ["render"]
