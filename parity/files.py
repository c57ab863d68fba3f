"""The folder that output goes to."""

import os
from pathlib import Path

from minigrad.files import unique, write_whole
from minigrad.temporary import undone
from parity.errors import UsageError


def output_folder(path: str | Path) -> Path:
    """Make the folder `path` and its parents; return it once a file could be written there.

    A file is written to make sure: permission bits do not tell of a read-only file system or a full
    disk, and do not bind the superuser.

    Raises `UsageError` if `path` is empty, is a file, is below a file or cannot be written to.
    """
    if not str(path).strip():
        raise UsageError("the output folder's name is empty: give the path of a folder")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = unique(folder)
        undone(lambda: write_whole(probe, bytes(4096)), lambda: probe.unlink(missing_ok=True))
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"cannot use {folder} as output folder: {_obstacle(folder)} is not a folder; "
            "give another path or move that file away"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.__cause__ or error  # that of the system
        raise UsageError(
            f"cannot write to output folder {str(folder)!r}: "
            f"{getattr(reason, 'strerror', None) or reason}; "
            "give the path of a folder that can be written to"
        ) from error
    return folder


def _obstacle(folder: Path) -> Path:
    """Return the highest part of `folder` that is no folder, such as a file or a broken link."""
    for part in reversed((folder, *folder.parents)):
        if os.path.lexists(part) and not part.is_dir():
            return part
    return folder
