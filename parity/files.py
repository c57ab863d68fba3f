"""Output files that appear whole or not at all."""

import os
import uuid
from pathlib import Path

from parity.errors import UsageError


def write_whole(path: str | Path, data: str | bytes) -> None:
    """Write `data` (text as UTF-8) to `path`, replacing what was there, whole or not at all.

    The data goes to a temporary file in the same folder, is forced to the disk, and only then takes
    the name: POSIX `rename` is atomic within a file system. Whatever happens before, Ctrl-C
    included, the old file stays as it was and the temporary one is removed. A symbolic link is
    followed.

    Raises `UsageError` if the file cannot be written: no such folder, no permission, disk full.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary_name(target.parent)
    try:
        _write_synced(temporary, data.encode() if isinstance(data, str) else data)
        temporary.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


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
        temporary = _temporary_name(folder)
        try:
            _write_synced(temporary, bytes(4096))
        finally:
            temporary.unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"cannot use {folder} as output folder: {_obstacle(folder)} is not a folder; "
            "give another path or move that file away"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UsageError(
            f"cannot write to output folder {str(folder)!r}: {_reason(error)}; "
            "give the path of a folder that can be written to"
        ) from error
    return folder


def _temporary_name(folder: Path) -> Path:
    return folder / f".{uuid.uuid4().hex}.tmp"


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _obstacle(folder: Path) -> Path:
    """Return the highest part of `folder` that is no folder, such as a file or a broken link."""
    for part in reversed((folder, *folder.parents)):
        if os.path.lexists(part) and not part.is_dir():
            return part
    return folder


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
