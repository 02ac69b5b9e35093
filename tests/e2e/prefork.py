"""A tiny prefork HTTP server: a master, two workers that share its socket. usage: prefork.py PORT

On SIGTERM the master tells the workers by a pipe to finish what they have begun, and waits for them. A worker that
gets SIGTERM itself dies of it, in the middle of an answer: whoever stops such a server has to signal the master alone.
A request is answered by a first half at once, and the second half after the end has been announced.
"""

import os
import select
import signal
import socket
import sys

HEAD = b"HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\n"


def work(server: socket.socket, ending: int) -> None:
    """Serve until the pipe says that the end has come; a request in flight is answered to its end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while server in select.select([server, ending], [], [])[0]:
        try:
            client, _ = server.accept()
        except BlockingIOError:  # the other worker was quicker
            continue
        client.recv(65536)
        client.sendall(HEAD + b"first half")
        select.select([ending], [], [])
        client.sendall(b", the rest")
        client.close()


def main() -> None:
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    server.setblocking(False)
    ending, announce = os.pipe()
    stop_reader, stop_writer = os.pipe()
    workers = []
    for _ in range(2):
        workers.append(os.fork())
        if not workers[-1]:
            os.close(announce)
            work(server, ending)
            os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_writer, b"\0"))
    print("serving", flush=True)
    with open("serving", "w") as file:
        print(os.getpid(), file=file)
    os.read(stop_reader, 1)
    os.close(announce)
    results = [os.waitpid(worker, 0)[1] for worker in workers]
    with open("left", "w") as file:
        print(*results, file=file)


main()
