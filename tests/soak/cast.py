"""The processes of a soak: twenty daemons without a pause between their runs.

Each command begins by saying who it is, in `marks`: the nonce of its run, and the label of the coordinator that
started it (TASK/PROCESS/RUN; somebody else's words when that coordinator has been killed already).
"""

from __future__ import annotations

from thermos.model import LoggerSpec, LogMode, ProcessSpec, TaskSpec

_MARK = (
    "{ read -r -d '' _; read -r -d '' label; } < /proc/$PPID/cmdline; "
    'printf "%s %s\\n" "$THERMOS_RUN" "${label//[[:space:]]/_}" >> marks; '
)

LOG_SIZE, BACKUPS = 4096, 2

#: What one run prints at most into a log that does not rotate.
LOUD = 200_000

_LINES = "for i in {1..300}; do echo $i ------------------------------------------------------------; done"

_LOOP = "while :; do sleep 0.2; done"

#: name -> command; those whose name begins with `rotating` rotate.
COMMANDS = {
    "quick-0": "exit 0",
    "quick-1": "true",
    "quick-2": "sleep 0.02",
    "failing-0": "exit 1",
    "failing-1": "sleep 0.05; exit 3",
    "missing": "exec no-such-command-here",
    "suicidal": "sleep 0.03; kill -9 $$",
    "rotating-0": f"{_LINES}; {_LINES} >&2",
    "rotating-1": f"{_LINES}; sleep 0.1; {_LINES}",
    "rotating-storm": f"while :; do {_LINES}; {_LINES} >&2; sleep 0.2; done",
    "loud": f"head -c {LOUD} /dev/zero | tr '\\0' x; sleep 0.3",
    "parent-0": "sleep 100 & sleep 100 & sleep 0.1",
    "parent-1": "(sleep 100 & sleep 100) & sleep 0.05; exit 1",
    "daemons-always": "setsid -f sleep 0.5; sleep 0.05",  # some daemon of its former runs always lives
    "daemons-sometimes": "setsid -f sleep 0.1; sleep 0.3",
    "ignoring-0": f'trap "" TERM; {_LOOP}',
    "ignoring-1": f'(trap "" TERM; {_LOOP}) & wait; sleep 100',
    "patient-0": "exec sleep 1000",
    "patient-1": "exec sleep 1000",
    "patient-2": "sleep 1000; true",
}

#: These end by themselves: they must get on, whatever is done to them.
BUSY = tuple(name for name in COMMANDS if not name.startswith(("ignoring", "patient", "rotating-storm")))


def make_task(name: str) -> TaskSpec:
    """Its stop takes a second at most."""
    rotating = LoggerSpec(mode=LogMode.ROTATE, log_size=LOG_SIZE, backups=BACKUPS)
    processes = tuple(
        ProcessSpec(
            name=process,
            cmdline=_MARK + command,
            daemon=True,
            max_failures=0,
            min_duration=0,
            logger=rotating if process.startswith("rotating") else None,
        )
        for process, command in COMMANDS.items()
    )
    return TaskSpec(name=name, processes=processes, max_failures=0, finalization_wait=1)
