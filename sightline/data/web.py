"""Files on a web server, http:// or https://, by ranges of bytes over connections that stay open."""

import http.client
import time
from urllib.parse import SplitResult, quote, urljoin, urlsplit

_ATTEMPTS = 5
_REDIRECTS = 5
_SECONDS = 60
"""A server that says nothing for so long is asked again."""
_BUSY = (429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)


class WebFolder:
    """A folder on a web server that answers ranges of bytes. Connections stay open; any number of threads may read."""

    remote = True

    def __init__(self, address: str) -> None:
        self.base = urlsplit(address)
        self._idle: list[tuple[tuple[str, str], http.client.HTTPConnection]] = []

    def whole(self, name: str, most: int) -> bytes:
        """See `sightline.data.folders.Folder`."""
        return self._fetched(name, None, most)

    def part(self, name: str, start: int, length: int) -> bytes:
        """See `sightline.data.folders.Folder`."""
        return of_length(self._fetched(name, (start, length), length), length)

    def _fetched(self, name: str, span: tuple[int, int] | None, most: int) -> bytes:
        path = f"{self.base.path.rstrip('/')}/{quote(name)}"
        for attempt in range(_ATTEMPTS):
            try:
                return self._followed(self.base._replace(path=path), span, most)
            except (_BusyError, ConnectionError, TimeoutError, http.client.HTTPException) as error:
                # A server may close a connection that stayed open, so the first new attempt comes at once.
                if attempt == _ATTEMPTS - 1:
                    raise OSError(f"{self.base.netloc}: {reason(error)}, {_ATTEMPTS} times") from error
                time.sleep(0.1 * (2**attempt - 1))
        raise AssertionError

    def _followed(self, place: SplitResult, span: tuple[int, int] | None, most: int) -> bytes:
        for _ in range(_REDIRECTS):
            found = self._asked(place, span, most)
            if isinstance(found, bytes):
                return found
            place = urlsplit(urljoin(place.geturl(), found))
        raise OSError(f"{self.base.netloc} redirects more than {_REDIRECTS} times")

    def _asked(self, place: SplitResult, span: tuple[int, int] | None, most: int) -> bytes | str:
        """What one server answers: the content, or where else it is."""
        server = (place.scheme, place.netloc)
        connection = self._connection(server)
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"}
        done = False
        try:
            connection.request("GET", f"{place.path}{'?' if place.query else ''}{place.query}", headers=headers)
            response = connection.getresponse()
            if response.status in _MOVED:
                response.read()
                done = True
                return response.headers.get("Location", "")
            if response.status in _BUSY:
                raise _BusyError(f"the server answers {response.status} {response.reason}")
            if response.status == 404:
                raise FileNotFoundError(f"the server answers 404 {response.reason}")
            if span is not None and response.status == 200:
                raise OSError(
                    "the server sends whole files and no ranges of bytes; copy the data, or use another server"
                )
            if response.status not in (200, 206):
                raise OSError(f"the server answers {response.status} {response.reason}")
            if (response.length or 0) > most:
                raise OSError(f"it has {response.length:,} bytes, more than the limit of {most:,}")
            promised = response.length
            content = response.read(most + 1)
            if promised is not None and len(content) < promised:
                raise ConnectionError("the connection ended early")
            if len(content) > most:
                raise OSError(f"it has more than the limit of {most:,} bytes")
            done = response.isclosed() or not response.read(1)
            return content
        finally:
            if done and connection.sock is not None:
                self._idle.append((server, connection))
            else:
                connection.close()

    def __del__(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    def _connection(self, server: tuple[str, str]) -> http.client.HTTPConnection:
        while self._idle:
            try:
                there, connection = self._idle.pop()
            except IndexError:  # another thread was first
                break
            if there == server:
                return connection
            connection.close()
        scheme, host = server
        if scheme not in ("http", "https"):
            raise OSError(f"{self.base.netloc} redirects to {scheme}://, which is not followed")
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        return kind(host, timeout=_SECONDS)


class _BusyError(Exception):
    """The server may answer when it is asked again."""


def of_length(content: bytes, length: int) -> bytes:
    """`content`, which must have `length` bytes; raises `OSError`."""
    if len(content) != length:
        raise OSError(f"expected {length:,} bytes, got {len(content):,}: it is shorter than it was")
    return content


def reason(error: BaseException) -> str:
    """What an error says, in one line, or its kind."""
    text = " ".join(str(error).split())
    return text or type(error).__name__
