"""A small web server of one folder that answers ranges of bytes over connections that stay open; Python's own has no ranges.

    python benchmarks/range_server.py FOLDER        prints its address and serves until its stdin is closed

For measuring and testing on one machine, not for a network.
"""

import contextlib
import re
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

_RANGE = re.compile(rb"range: *bytes=(\d+)-(\d+)", re.IGNORECASE)


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while request := self.rfile.readline():
                asked = None
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    asked = _RANGE.match(line) or asked
                self._answer(unquote(request.split()[1].decode()), asked)

    def _answer(self, name: str, asked: re.Match[bytes] | None) -> None:
        server = self.server
        assert isinstance(server, RangeServer)
        server.asked.append(name if asked is None else f"{name} {asked[1].decode()}-{asked[2].decode()}")
        path = server.root / name.lstrip("/")
        if server.failing:
            self.request.sendall(f"HTTP/1.1 {server.failing.pop()} Busy\r\nContent-Length: 0\r\n\r\n".encode())
        elif ".." in path.parts or not path.is_file():
            self.request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            with path.open("rb") as file:
                size = path.stat().st_size
                first, last = (0, size - 1) if asked is None else (int(asked[1]), min(int(asked[2]), size - 1))
                count = max(0, last + 1 - first)
                state = (
                    "200 OK" if asked is None else f"206 Partial Content\r\nContent-Range: bytes {first}-{last}/{size}"
                )
                self.request.sendall(f"HTTP/1.1 {state}\r\nContent-Length: {count}\r\n\r\n".encode())
                if count:
                    self.request.sendfile(file, first, count)


class RangeServer(socketserver.ThreadingTCPServer):
    """Serves `root` at `address`; `asked` is what was asked for so far, `failing` statuses that the next answers have."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.asked: list[str] = []
        self.failing: list[int] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(root: Path) -> Iterator[RangeServer]:
    """A server in a thread of this process."""
    with RangeServer(root) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


if __name__ == "__main__":
    with serving(Path(sys.argv[1])) as running:
        print(running.address, flush=True)
        sys.stdin.read()
