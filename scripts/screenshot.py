"""Draws pictures of what commands show on a terminal: docs/img/live.svg, the live tree of `thermos run`, and
docs/img/update.svg, an update of the example on a cluster of `aurora local`.

.venv/bin/python -m pip install pyte && .venv/bin/python scripts/screenshot.py [live] [update]
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import pyte

TOP = Path(__file__).parent.parent
BIN = TOP / ".venv/bin"
PATIENCE_S = 60.0
WIDTH, HEIGHT, MARGIN = 8.4, 18, 14
COLOURS = {"green": "#3fb950", "red": "#f85149", "brown": "#d29922", "yellow": "#d29922", "cyan": "#39c5cf"}


def capture(
    command: list[str],
    environment: Mapping[str, str],
    columns: int,
    rows: int,
    is_it: Callable[[pyte.Screen, float], bool],
) -> pyte.Screen:
    """The screen at the moment that is wanted: told the screen, and the seconds since the beginning. Then ^C."""
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(command[0], command, {**environment, "TERM": "xterm"})
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    begun = time.monotonic()
    while not is_it(screen, time.monotonic() - begun):
        assert time.monotonic() - begun < PATIENCE_S, "it never looked as it should"
        if select.select([fd], [], [], 0.05)[0]:
            stream.feed(os.read(fd, 65536))
    picture = {y: dict(line) for y, line in screen.buffer.items()}
    os.write(fd, b"\x03")
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        os.waitpid(pid, 0)
    screen.buffer.clear()
    for y, line in picture.items():
        screen.buffer[y].update(line)
    return screen


def live() -> tuple[str, pyte.Screen]:
    words = ["run", str(TOP / "examples/pipeline.thermos")]
    with tempfile.TemporaryDirectory() as root:
        command = [str(BIN / "thermos"), *words, "--root", root, "--task-id", "pipeline"]
        return "thermos run examples/pipeline.thermos", capture(command, os.environ, 84, 8, lambda _, at: at > 2.9)


def update() -> tuple[str, pyte.Screen]:
    """On the usual ports, so that the picture is what people will see."""
    words = ["update", "start", "--wait", "rz1/www/test/webserver", "examples/webserver.aurora"]
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AURORA_", "XDG_"))}
        environment = {**kept, "HOME": home, "AURORA_CONFIG_ROOT": home}
        aurora = str(BIN / "aurora")
        subprocess.run([aurora, "local", "up", "--cluster", "rz1", "--root", home], env=environment, check=True)
        try:
            os.chdir(TOP)
            return f"aurora {' '.join(words)}", capture([aurora, *words], environment, 118, 10, _is_half_way)
        finally:
            subprocess.run([aurora, "local", "down", "--cluster", "rz1"], env=environment, check=True)


def _is_half_way(screen: pyte.Screen, _at: float) -> bool:
    text = "\n".join(screen.display)
    return text.count(" added ") == 2 and text.count("it is running and being watched") == 2


def render_svg(title: str, screen: pyte.Screen) -> str:
    columns, rows = screen.columns, screen.lines
    width, height = columns * WIDTH + 2 * MARGIN, (rows + 1) * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
        '<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
        f'<text x="{MARGIN}" y="{MARGIN + 14}" fill="#8b949e">$ {escape(title)}</text>',
    ]
    for y in range(rows):
        for x in range(columns):
            char = screen.buffer[y][x]
            if char.data.strip():
                style = f' fill="{COLOURS.get(char.fg, "#e6edf3")}"' + (' font-weight="bold"' if char.bold else "")
                at = f'x="{MARGIN + x * WIDTH:.1f}" y="{MARGIN + 14 + (y + 1) * HEIGHT}"'
                parts.append(f"<text {at}{style}>{escape(char.data)}</text>")
    return "\n".join([*parts, "</g>", "</svg>", ""])


PICTURES = {"live": live, "update": update}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        (TOP / f"docs/img/{name}.svg").write_text(render_svg(*PICTURES[name]()))
