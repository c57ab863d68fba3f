"""The one way in which files are written, by `minigrad` and by `parity`: whole or not at all."""

import errno
import os
import stat
import uuid
from pathlib import Path

from minigrad.temporary import undone


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write `data` (text as UTF-8) to `path`, replacing what was there, whole or not at all.

    The data go to a file of a name that nobody else has, in the same folder, and are forced to the
    disk; only then do they take the name: `rename` is atomic within a file system. Whatever happens
    before, Ctrl-C included, the old file stays as it was and the other one is removed.

    A symbolic link is followed: what it points to is written, and the link stays. The permissions
    are those of the file that was there, or of any new file; the owner is who writes, and hard
    links and extended attributes of the old file are not kept.

    Raises:
        OSError: the file cannot be written: no such folder, no permission, disk full; or `path` is
            a folder, a device, a pipe or a socket, which are never replaced. The text has the path.
    """

    def write() -> None:
        mode = _mode(Path(path))

        def opened(name: str, flags: int) -> int:
            return os.open(name, flags, 0o666 if mode is None else 0o600)  # as private as it was

        with open(temporary, "xb", opener=opened) as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(target)

    try:
        if os.fspath(path).endswith(os.sep):
            raise OSError(errno.EISDIR, "it is a folder; give the name of a file in it")
        target = Path(os.path.realpath(path))
        temporary = unique(target.parent)
        undone(write, lambda: temporary.unlink(missing_ok=True))
    except (OSError, ValueError) as error:  # ValueError: no name of a file has such characters
        number, reason = errno.EINVAL, str(error)
        if isinstance(error, OSError):
            number, reason = error.errno or number, error.strerror or reason
        raise OSError(number, f"cannot write {os.fspath(path)!r}: {reason}") from error


def unique(folder: Path) -> Path:
    """Return a path in a folder, of a hidden file whose name nobody else has."""
    return folder / f".{uuid.uuid4().hex}.tmp"


def _mode(path: Path) -> int | None:
    """Return the permissions of the file that is to be replaced, None where there is none.

    Raises:
        OSError: what is there is no file, or may not be written.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder; give the name of a file in it")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket; give the name of a file")
    if not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return stat.S_IMODE(mode) & 0o777
