"""Draws docs/img/live.svg: the live tree of `thermos run examples/pipeline.thermos`, as a terminal shows it.

.venv/bin/python -m pip install pyte && .venv/bin/python scripts/screenshot.py
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from html import escape
from pathlib import Path

import pyte

TOP = Path(__file__).parent.parent
COLUMNS, ROWS, SECONDS = 84, 8, 2.9
WIDTH, HEIGHT, MARGIN = 8.4, 18, 14
COLOURS = {"green": "#3fb950", "red": "#f85149", "brown": "#d29922", "yellow": "#d29922", "cyan": "#39c5cf"}


def capture() -> pyte.Screen:
    """The screen after SECONDS of the run; then the task is stopped."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    with tempfile.TemporaryDirectory() as root:
        pid, fd = pty.fork()
        if pid == 0:
            command = [str(TOP / ".venv/bin/thermos"), "run", "--root", root, "--task-id", "pipeline"]
            os.execv(command[0], [*command, str(TOP / "examples/pipeline.thermos")])
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        end = time.monotonic() + SECONDS
        while (left := end - time.monotonic()) > 0:
            if select.select([fd], [], [], left)[0]:
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


def render_svg(screen: pyte.Screen) -> str:
    width, height = COLUMNS * WIDTH + 2 * MARGIN, (ROWS + 1) * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">',
        "<title>thermos run examples/pipeline.thermos</title>",
        '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
        '<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
        f'<text x="{MARGIN}" y="{MARGIN + 14}" fill="#8b949e">$ thermos run examples/pipeline.thermos</text>',
    ]
    for y in range(ROWS):
        for x in range(COLUMNS):
            char = screen.buffer[y][x]
            if char.data.strip():
                style = f' fill="{COLOURS.get(char.fg, "#e6edf3")}"' + (' font-weight="bold"' if char.bold else "")
                at = f'x="{MARGIN + x * WIDTH:.1f}" y="{MARGIN + 14 + (y + 1) * HEIGHT}"'
                parts.append(f"<text {at}{style}>{escape(char.data)}</text>")
    return "\n".join([*parts, "</g>", "</svg>", ""])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "docs/img/live.svg"
    target.write_text(render_svg(capture()))
