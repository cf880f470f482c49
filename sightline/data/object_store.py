"""Files at addresses that fsspec knows, such as s3:// and gs://, by ranges of bytes."""

from typing import Any

from sightline.data.web import of_length, reason
from sightline.errors import InputError, MissingDependencyError


class StoreFolder:
    """A folder at any address that fsspec knows, such as s3:// and gs://."""

    remote = True

    def __init__(self, address: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise MissingDependencyError("fsspec", f"reading {address.partition(':')[0]}://", "remote") from error
        scheme = address.partition(":")[0]
        try:
            self._files, self._root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise MissingDependencyError(
                f"fsspec with {scheme}:// ({error})", f"reading {address}", "remote"
            ) from error
        except ValueError as error:
            raise InputError(f"{address}: {error}. Expected file://, http://, https://, s3:// or gs://.") from error

    def whole(self, name: str, most: int) -> bytes:
        """See `sightline.data.folders.Folder`."""
        size = self._answer("size", name)
        if size is not None and size > most:
            raise OSError(f"it has {size:,} bytes, more than the limit of {most:,}")
        return self._bytes(self._answer("cat_file", name))

    def part(self, name: str, start: int, length: int) -> bytes:
        """See `sightline.data.folders.Folder`."""
        return of_length(self._bytes(self._answer("cat_file", name, start=start, end=start + length)), length)

    def _answer(self, verb: str, name: str, **arguments: Any) -> Any:
        try:
            return getattr(self._files, verb)(f"{self._root.rstrip('/')}/{name}", **arguments)
        except OSError:
            raise
        except Exception as error:  # each library behind fsspec has errors of its own
            raise OSError(reason(error)) from error

    @staticmethod
    def _bytes(content: Any) -> bytes:
        return bytes(content)
