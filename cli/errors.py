"""What can go wrong in a way that is said in one sentence. Its exit code: 2 for what the user gave, 1 for what failed."""

from __future__ import annotations


class CommandError(Exception):
    """Ends the command with its message on stderr."""

    exit_code = 1


class BadInput(CommandError):
    """The user's files, arguments or environment cannot be used."""

    exit_code = 2


class Refused(BadInput):
    """The admin API refused a request (4xx). `faults` are fields and what was expected there; `status` is HTTP's. `busy` says
    that the same request may be taken a moment later.
    """

    def __init__(self, message: str, status: int, faults: tuple[tuple[str, str], ...] = (), *, busy: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.faults = faults
        self.busy = busy
