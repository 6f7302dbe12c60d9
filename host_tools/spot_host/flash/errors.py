"""What ends a job at the cable, by its exit code: each is one sentence with the way out, and says what is on the
board."""

from spot_host.errors import UserError


class MisfitError(UserError):
    """The board on the cable is not what was asked for, or lacks something. Nothing was written. Exit code 3."""

    exit_code = 3


class PortError(UserError):
    """No port, several, one that is busy, or one that may not be opened. Nothing was written. Exit code 4."""

    exit_code = 4


class TransferError(UserError):
    """The transfer broke; the text says what the board starts with now. Exit code 5."""

    exit_code = 5


class NotRegisteredError(UserError):
    """All was written and read back, but the EMD has not heard of the device in time. Exit code 6."""

    exit_code = 6


class RemoteError(Exception):
    """A statement ended with an exception on the board; the text is its last line."""
