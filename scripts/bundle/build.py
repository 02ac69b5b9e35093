"""Makes the bundle of wheels: `build.py WHEELS TARGET [PYTHON…]`.

The same wheels and Pythons give the same bytes: members are sorted, their times are fixed, nothing tells where or
when it was built. Behind the launchers is a zip of zips: `any.zip`, what every Python needs, and one for each Python
with its extension modules and bytecode. (Bytecode is there for the Pythons that are given; another one compiles when
it unpacks.) The bytecode never looks at the sources' times, so unpacking need not keep them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: What of the wheels an executor can need.
WANTED = ("executor/", "thermos/", "config/", "mesos/", "msgspec/", "h11/", "kazoo/")
UNWANTED = re.compile(r"mesos/local/|kazoo/(tests|testing)/|thermos/host/coordinator\w*\.[ch]$|.*\.pyi$|.*/tests/")
LICENCE = re.compile(r"([\w.]+)-[^/]+\.dist-info/(?:licenses/)?((?:LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE)
MOMENT = (1980, 1, 1, 0, 0, 0)
COMPILER = """
import importlib.util, json, pathlib, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for name in json.load(sys.stdin):
    head, _, file = name.rpartition("/")
    target = f"{head}/__pycache__/{file[:-3]}.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(name, target, dfile=name.removeprefix("lib/"), doraise=True, invalidation_mode=mode)
print(importlib.util.MAGIC_NUMBER.hex())
"""

Files = dict[str, tuple[bytes, int]]  # path -> content, mode


def main(argv: list[str]) -> int:
    wheels, target, pythons = Path(argv[0]), Path(argv[1]), argv[2:]
    tags = sorted({m[1] for w in wheels.glob("msgspec-*.whl") if (m := re.search(r"-(cp3\d+)-cp3\d+-", w.name))})
    if not tags:
        raise SystemExit("make-executor: no wheel of msgspec was found")
    common, special = read_wheels(wheels, tags)
    facts = describe(wheels)
    common["thermos_executor"] = (HERE.joinpath("start.py").read_bytes(), 0o644)
    facts["pythons"] = dict.fromkeys(tags, False)
    for python in pythons:
        tag, code = compiled(python, common | {}, special)
        special[tag].update(code)
        facts["pythons"][tag] = True
    inner = {"any.zip": packed(common)} | {f"{tag}.zip": packed(special[tag]) for tag in tags}
    facts["parts"] = {name: hashlib.sha256(data).hexdigest() for name, data in inner.items()}
    sizes = [sum(len(data) for data, _ in (common | special[tag]).values()) for tag in tags]
    facts["unpacked_bytes"] = max(sizes)
    own = {name: HERE.joinpath(name).read_bytes() for name in ("__main__.py", "unpack.py")}
    facts["digest"] = digest_of(inner | own)
    facts["version"] = version_of(common)
    launcher = own["__main__.py"].decode().replace("FACTS = None", f"FACTS = {facts!r}", 1)
    outer = {"unpack.py": own["unpack.py"], **inner}
    write_bundle(target, {name: (data, 0o644) for name, data in outer.items()}, tags, launcher)
    print(json.dumps({"bundle": str(target), "bytes": target.stat().st_size, **facts}, indent=2))
    return 0


def read_wheels(wheels: Path, tags: list[str]) -> tuple[Files, dict[str, Files]]:
    """What every Python needs, and what one of them needs."""
    common: Files = {}
    special: dict[str, Files] = {tag: {} for tag in tags}
    for wheel in sorted(wheels.glob("*.whl")):
        tag = next((tag for tag in tags if f"-{tag}-{tag}-" in wheel.name), None)
        with zipfile.ZipFile(wheel) as file:
            for member in file.infolist():
                name = placed(member.filename)
                if name is None or member.is_dir():
                    continue
                mode = 0o755 if member.external_attr >> 16 & 0o111 else 0o644
                content = (file.read(member), mode)
                if name.endswith(".so") and tag is not None:
                    special[tag][name] = (content[0], 0o644)
                elif common.setdefault(name, content) != content:
                    raise SystemExit(f"make-executor: {name} differs between wheels")
    return common, special


def placed(member: str) -> str | None:
    """Where a file of a wheel goes; None: nowhere."""
    licence = LICENCE.match(member)
    if licence is not None:
        return f"licenses/{licence[1]}/{licence[2]}"
    return f"lib/{member}" if member.startswith(WANTED) and not UNWANTED.match(member) else None


def compiled(python: str, common: Files, special: dict[str, Files]) -> tuple[str, Files]:
    """(tag, bytecode) by this Python. The hash seed is fixed: it decides in which order a set constant is written."""
    ask = "import sys; print('cp%d%d' % sys.version_info[:2])"
    tag = subprocess.run([python, "-I", "-S", "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    if tag not in special:
        raise SystemExit(f"make-executor: {python} is {tag}: there is no msgspec for it here")
    sources = sorted(name for name in common if name.startswith("lib/") and name.endswith(".py"))
    with tempfile.TemporaryDirectory() as scratch:
        for name in sources:
            path = Path(scratch, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(common[name][0])
        environment = {"PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]}
        subprocess.run(
            [python, "-s", "-S", "-c", COMPILER],
            input=json.dumps(sources), cwd=scratch, env=environment, check=True, text=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found = sorted(Path(scratch).rglob("*.pyc"))
        return tag, {str(path.relative_to(scratch)): (path.read_bytes(), 0o644) for path in found}


def describe(wheels: Path) -> dict[str, Any]:
    libc = platform.libc_ver()[0]
    return {
        "version": "",
        "digest": "",
        "platform": f"linux-{platform.machine()}-{libc or 'musl'}",
        "pythons": {},
        "unpacked_bytes": 0,
        "parts": {},
        "wheels": {
            wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest()
            for wheel in sorted(wheels.glob("*.whl"))
            if not wheel.name.startswith("aurora_thermos-")
        },
    }


def version_of(common: Files) -> str:
    found = re.search(rb'^VERSION = "([\w.+-]+)"$', common["lib/thermos/version.py"][0], re.MULTILINE)
    if found is None:
        raise SystemExit("make-executor: thermos/version.py does not name a version")
    return found[1].decode()


def digest_of(parts: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, data in sorted(parts.items()):
        whole.update(f"{name} {len(data)}\n".encode() + data)
    return whole.hexdigest()[:12]


def packed(files: Files, head: bytes = b"") -> bytes:
    """A zip; behind a `head` its offsets are counted from the beginning of the whole, as `unzip` likes them."""
    buffer = io.BytesIO()
    buffer.write(head)
    with zipfile.ZipFile(buffer, "a") as file:
        for name, (data, mode) in sorted(files.items()):
            member = zipfile.ZipInfo(name, MOMENT)
            member.create_system = 3
            member.external_attr = (0o100000 | mode) << 16
            stored = name.endswith(".zip")
            member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            file.writestr(member, data, compresslevel=None if stored else 9)
    return buffer.getvalue()


def write_bundle(target: Path, files: Files, tags: list[str], launcher: str) -> None:
    """Launchers and zip, under another name first: a bundle that is just being run stays whole."""
    versions = [f"3.{tag[3:]}" for tag in tags]
    words = " or ".join(filter(None, [", ".join(versions[:-1]), versions[-1]]))
    finder = HERE.parent.parent.joinpath("executor", "find-python.sh").read_text()
    finder, found = re.subn(
        r'_range="[^"]*" _below=\d+ # .*',
        f'_range="{words}" _below={int(tags[-1][3:]) + 1}',
        finder,
    )
    if found != 1:
        raise SystemExit("make-executor: executor/find-python.sh has no line that says for which Pythons it is")
    text = HERE.joinpath("launcher.sh").read_text().replace("@FIND_PYTHON@", finder.rstrip())
    text = text.replace("@LAUNCHER@", shlex.quote(launcher))
    size = len(packed(files, text.replace("@SIZE@", "0" * 10).encode()))
    head = text.replace("@SIZE@", f"{size:010d}").encode()
    fresh = target.with_name(target.name + ".new")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_bytes(packed(files, head))
    fresh.chmod(0o755)
    fresh.replace(target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
