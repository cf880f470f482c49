"""Many names in two arrays: a million pictures' paths without a million objects, which every worker of a loader would come to copy."""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Names(Sequence[str]):
    """Names that are read and never changed.

    A list's strings count who looks at them, so that a process that shares its memory with another copies what it only reads.

    >>> names = Names(["a/1.png", "b/2.png", ""])
    >>> names[1], names[-1], len(names), "b/2.png" in names
    ('b/2.png', '', 3, True)
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self._letters = np.frombuffer(b"".join(encoded), np.uint8)

    @classmethod
    def of(cls, letters: NDArray[np.uint8], ends: NDArray[np.int64]) -> "Names":
        """From the two arrays: all names' letters in UTF-8, and where each name begins and the last one ends, N + 1 places.

        >>> list(Names.of(*Names(["a", "bc"]).columns))
        ['a', 'bc']
        """
        if not len(ends) or ends[0] != 0 or ends[-1] != len(letters) or (np.diff(ends) < 0).any():
            raise ValueError("the places where names end do not fit their letters")
        names = cls.__new__(cls)
        names._letters, names._ends = letters, ends
        return names

    @property
    def columns(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The two arrays."""
        return self._letters, self._ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __eq__(self, other: object) -> bool:
        """The same names in the same order, also of a list."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"expected a place below {len(self)}, got {place}")
        at = place % len(self)
        letters = self._letters[self._ends[at] : self._ends[at + 1]]
        return letters.tobytes().decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))
