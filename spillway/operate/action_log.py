"""What operators did to shoppers' data, a JSON object a line: shoppers by their ids, never an address."""

import json
import os

from spillway.errors import WorkFailed
from spillway.project import Project

FILE = "actions.log"


class ActionLog:
    """Adds lines to .spillway/actions.log, which its owner alone may read. `at_ms` is the time of now."""

    def __init__(self, project: Project, stage_name: str, at_ms: int) -> None:
        self._folder = project.state
        self._stage_name = stage_name
        self._at_ms = at_ms

    def write(self, event: str, **facts: object) -> None:
        """Add one line.

        Raises:
            WorkFailed: it cannot be written.
        """
        line = json.dumps(
            {"event": event, "stage": self._stage_name, "at_ms": self._at_ms, **facts}, sort_keys=True
        )
        file = self._folder / FILE
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(opened, "a", encoding="utf-8") as written:
                written.write(line + "\n")
        except OSError as error:
            raise WorkFailed(f"{file}: {error.strerror}: this is not done without a log") from None
