"""Where a check may write: asked before the look at the data set, which takes long."""

from pathlib import Path

from sightline.data.formats.copying import require_new
from sightline.errors import InputError
from sightline.files import require_free

PAGE_ENDINGS = (".html", ".htm")


def require_page(page: Path, data: Path, fixed: Path | None, *, overwrite: bool) -> None:
    """Raise `InputError` when no page is to be written at `page`, of the data set at `data` and its copy at `fixed`."""
    if page.suffix.lower() not in PAGE_ENDINGS:
        raise InputError(
            f"{page} does not end in .html: the page is for a browser. Call it {page.name or 'page'}.html."
        )
    if page.is_dir():
        raise InputError(f"{page} is a folder. Name a file for the page.")
    if not overwrite:
        require_free([page])
    _require_elsewhere(page, data)
    if fixed is not None and page.resolve().is_relative_to(fixed.resolve()):
        raise InputError(
            f"{page} lies in the copy at {fixed}, and would become a part of it. Choose a place elsewhere."
        )
    _require_folder(page)


def require_copy(out: Path, data: Path) -> None:
    """Raise `InputError` when no copy of the data set at `data`, with the list of its changes, is to be written at `out`."""
    _require_elsewhere(out, data)
    require_new(out)
    require_listing(out)
    _require_folder(out)


def require_listing(out: Path) -> None:
    """Raise `InputError` when the list of changes of the copy at `out` is there already."""
    changes = changes_of(out)
    if changes.exists():
        raise InputError(f"{changes} exists already and is not overwritten. Choose another name for the copy.")


def changes_of(out: Path) -> Path:
    """Where the changes of a copy are listed: beside it, in a table with its name."""
    name = out.name or out.resolve().name  # "." has no name of its own
    return (out if out.name else out.resolve()).with_name(f"{name}.changes.csv")


def _require_elsewhere(out: Path, data: Path) -> None:
    if data.is_dir() and out.resolve().is_relative_to(data.resolve()):
        raise InputError(f"{out} lies in {data}, and would become a part of it. Choose a place elsewhere.")


def _require_folder(out: Path) -> None:
    above = next(folder for folder in out.resolve().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{out} cannot be written: {above} is not a folder.")
