"""A real ZooKeeper on the loopback address, from Debian's package, for tests.

Each server has a folder with its data and logs; java's output goes there too (and its input comes from nowhere), so
that it holds no pipe of the test run. `stop` is polite, `kill` is not, `start` brings it back with its data.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesos.ports import hold_port_for

JARS = [Path("/usr/share/java") / name for name in ("zookeeper.jar", "slf4j-log4j12.jar", "log4j-1.2.jar")]
TICK_MS = 500  # the shortest session timeout is twice as long
START_DEADLINE_S = 60.0


def is_installed() -> bool:
    return shutil.which("java") is not None and JARS[0].exists()


class ZooKeeperServer:
    """One server; of an ensemble if `peers` names all (number -> the two ports among themselves)."""

    def __init__(
        self, folder: Path, port: int | None = None, number: int = 1, peers: dict[int, tuple[int, int]] | None = None
    ) -> None:
        self.folder, self.number = folder, number
        self.port = port if port is not None else hold_port_for(self)
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "myid").write_text(f"{number}\n")
        servers = [f"server.{n}=127.0.0.1:{a}:{b}" for n, (a, b) in sorted((peers or {}).items())]
        settings = {
            "tickTime": TICK_MS,
            "initLimit": 10,
            "syncLimit": 5,
            "dataDir": folder / "data",
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
            "maxClientCnxns": 0,
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        (folder / "zoo.cfg").write_text("\n".join(lines + servers) + "\n")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, wait: bool = True) -> None:
        assert self._process is None, "it runs already"
        classpath = ":".join([str(self.folder), *map(str, JARS)])
        command = [
            "java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath,
            "-Dzookeeper.root.logger=WARN,CONSOLE",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self.folder / "zoo.cfg"),
        ]  # fmt: skip
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not self.serves():
            assert self._process is not None and self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def serves(self) -> bool:
        """Answers, and (in an ensemble) has a leader."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.settimeout(1)
                s.sendall(b"srvr")
                return b"Mode:" in s.recv(4096)
        except OSError:
            return False

    def stop(self) -> None:
        self._end(kill=False)

    def kill(self) -> None:
        self._end(kill=True)

    def restart(self) -> None:
        self.kill()
        self.start()

    def log(self) -> str:
        return (self.folder / "output.log").read_text()[-4000:]

    def _end(self, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


class ZooKeeperEnsemble:
    """Three servers (or so many); ends them all with `stop`."""

    def __init__(self, folder: Path, size: int = 3) -> None:
        ports = [hold_port_for(self) for _ in range(3 * size)]
        peers = {n + 1: (ports[3 * n + 1], ports[3 * n + 2]) for n in range(size)}
        self.servers = [ZooKeeperServer(folder / str(n), ports[3 * (n - 1)], n, peers) for n in peers]

    @property
    def address(self) -> str:
        return ",".join(server.address for server in self.servers)

    def start(self) -> None:
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_ready()

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


@pytest.fixture
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    """A server of this test's own, running."""
    if not is_installed():
        pytest.fail("no ZooKeeper here: scripts/setup-zookeeper installs Debian's (or apt-get install zookeeper)")
    server = ZooKeeperServer(tmp_path_factory.mktemp("zookeeper"))
    try:
        server.start()
        yield server
    finally:
        server.kill()
