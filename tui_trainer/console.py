"""Rich's console, whose reader may leave."""

from __future__ import annotations

import rich.console


class Console(rich.console.Console):
    """Rich ends the program with exit code 1 when a pipe's reader leaves: here whoever prints decides."""

    def on_broken_pipe(self) -> None:
        """Hand on what Rich has caught.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError
