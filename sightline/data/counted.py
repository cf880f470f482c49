"""Numbers of things in words."""


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things; `many` is what to call several where that is not `one` with an s.

    >>> counted(0, "error"), counted(1, "error"), counted(1200, "error")
    ('no errors', '1 error', '1,200 errors')
    >>> counted(1, "picture is left out", "pictures are left out")
    '1 picture is left out'
    """
    shown = f"{count:,}" if count else "no"
    return f"{shown} {one if count == 1 else many or one + 's'}"
