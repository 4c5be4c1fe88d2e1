"""The order in which edits were accepted, undone and redone: one line each, only ever appended."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from napari_histoaug.edits.errors import EditError, cannot_write
from napari_histoaug.edits.record import EditRecord

EventName = Literal["accept", "undo", "redo"]
_EVENTS = ("accept", "undo", "redo")


class Event(NamedTuple):
    """One line of the journal; `record` is there for "accept"."""

    event: str
    id: str
    record: EditRecord | None


class Journal:
    """A file of JSON lines.

    A line counts once its end is on the disk. What follows the last line end was torn by a crash:
    it is ignored when reading and cut off before the next line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._lines = 0

    def new_events(self) -> list[Event]:
        """Return the complete events not returned before.

        Raises
        ------
        EditError
            When a complete line is not an event: the file was damaged or edited.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EditError(
                f"The journal of edits in {self.path.parent} cannot be read ({error.strerror}); "
                "check the permissions of that folder."
            ) from error
        complete = data[: data.rfind(b"\n") + 1]
        events = []
        for line in complete.splitlines():
            self._lines += 1
            events.append(self._parse(line))
        self._read += len(complete)
        return events

    def append(self, event: EventName, edit: str, record: EditRecord | None = None) -> None:
        """Write one line through to the disk, or leave the file as it was.

        Raises
        ------
        EditError
            When it could not be written.
        """
        document = {
            "event": event,
            "id": edit,
            "record": None if record is None else record.model_dump(mode="json"),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        line = json.dumps(document).encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                file.truncate(self._read)
                try:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    self._take_back()
                    raise
        except OSError as error:
            self._take_back()
            raise cannot_write(self.path.parent, error) from error
        self._read += len(line)
        self._lines += 1

    def _take_back(self) -> None:
        """Cut the file back to its last complete line (a torn one would be ignored anyway)."""
        try:
            os.truncate(self.path, self._read)
        except OSError:
            return

    def _parse(self, line: bytes) -> Event:
        try:
            document = json.loads(line)
            event, edit = document["event"], document["id"]
            if event not in _EVENTS:
                raise ValueError(event)
            record = EditRecord(**document["record"]) if event == "accept" else None
            return Event(event, edit, record)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise EditError(
                f"Line {self._lines} of {self.path} is damaged; restore that file from a backup or "
                "move the folder away to start without its edits."
            ) from error
