"""Errors that are the user's to mend: shown as one line, never as a traceback."""


class UserError(Exception):
    """Something the user asked for cannot be done; the text says what and how to mend it. Exit code 2."""

    exit_code = 2


class SetupError(UserError):
    """A tool could not be found, fetched or installed; nothing half-made was left behind. Exit code 1."""

    exit_code = 1
