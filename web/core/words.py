"""Numbers in the words people use for them. Everything fits a narrow table column."""

from __future__ import annotations

from thermos.errors import Bug

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_words(size: float) -> str:
    """1536 -> `1.5 KiB`; three significant digits, no trailing zero."""
    value, unit = float(size), 0
    while abs(value) >= 1023.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if not unit or abs(value) >= 99.95 else 1
    return f"{value:.{digits}f}".removesuffix(".0") + f" {_UNITS[unit]}"


def duration_words(seconds: float) -> str:
    """3.27 -> `3.3 s`, 3700 -> `1 h 1 min`; two units at most, negative ones are 0."""
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    whole = round(seconds)
    for size, unit, lesser, word in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // lesser
            return f"{whole // size} {unit} {rest} {word}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def cores_words(cpu: float) -> str:
    """A rate in cores: `0.03`, `1.5`, `12`."""
    if cpu >= 9.95:
        return f"{cpu:.0f}"
    return f"{cpu:.2f}" if cpu < 0.995 else f"{cpu:.1f}".removesuffix(".0")


def count_words(count: int, one: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def nice_step(span: float, parts: int) -> float:
    """A round step (1, 2 or 5 times a power of ten) that divides `span` into about `parts`."""
    if span <= 0 or parts < 1:
        raise Bug(f"cannot divide {span} into {parts} parts")
    rough = span / parts
    power = 10.0 ** _floor_log10(rough)
    return next((step * power for step in (1, 2, 5) if step * power >= rough * 0.999), 10 * power)


def _floor_log10(value: float) -> int:
    exponent = 0
    while value >= 10:
        value, exponent = value / 10, exponent + 1
    while value < 1:
        value, exponent = value * 10, exponent - 1
    return exponent


_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def time_step(span: float, parts: int) -> float:
    """A step people read on clocks: seconds, minutes, hours, days."""
    rough = span / parts
    if rough <= 1:
        return nice_step(span, parts)
    for step in _TIME_STEPS:
        if step >= rough:
            return float(step)
    return 86400 * nice_step(span / 86400, parts)
