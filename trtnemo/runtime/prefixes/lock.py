"""A file that is being written is held, so that nobody removes it; some file systems have no locks."""

from __future__ import annotations

import errno
import fcntl
import time

# of NFS without a lock daemon, and of file systems in user space
_NONE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
# a file that nobody has written to for so long is taken for left behind where nothing else says so
LEFT_SECONDS = 3600.0


def hold(descriptor: int) -> bool:
    """Hold an open file until it is closed; return whether this file system can, raise OSError where somebody does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return False
    return True


def is_left(descriptor: int, written: float) -> bool:
    """Return whether the writer of a file is gone; `written` is when it was last written to. Raises OSError."""
    return hold(descriptor) or time.time() - written > LEFT_SECONDS
