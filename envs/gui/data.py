"""What is stored on the device: tables of rows, never changed in place.

    data = {"mail": {1: {"folder": "Inbox", "sender": "Anna", ...}}, "events": {...}, ...}

Every change makes a new `Data` that shares all that did not change, so a snapshot is a reference and a difference
looks only at what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Row = Mapping[str, Any]
Table = Mapping[int, Row]
Data = Mapping[str, Table]


class Change(NamedTuple):
    """One row that is not as it was."""

    what: str
    """``added``, ``changed`` or ``removed``."""
    table: str
    """Name of the table."""
    id: int
    """Its number."""
    fields: Row
    """Of an added row all fields, of a changed one those that are new, of a removed one none."""


def put(data: Data, table: str, id: int, **fields: Any) -> Data:
    """With fields of a row set to other values."""
    rows = data[table]
    return {**data, table: {**rows, id: {**rows[id], **fields}}}


def add(data: Data, table: str, **fields: Any) -> Data:
    """With another row, which gets the next number."""
    rows = data.get(table, {})
    return {**data, table: {**rows, max(rows, default=0) + 1: fields}}


def drop(data: Data, table: str, id: int) -> Data:
    """Without a row."""
    return {**data, table: {k: row for k, row in data[table].items() if k != id}}


def where(data: Data, table: str, **fields: Any) -> Iterator[tuple[int, Row]]:
    """Rows whose fields have these values, with their numbers, in order."""
    for id, row in data.get(table, {}).items():
        if all(row[name] == value for name, value in fields.items()):
            yield id, row


def difference(before: Data, after: Data) -> list[Change]:
    """What changed, row by row."""
    changes: list[Change] = []
    for table in {**before, **after}:
        old, new = before.get(table, {}), after.get(table, {})
        if old is new:
            continue
        for id, row in new.items():
            was = old.get(id)
            if was is None:
                changes.append(Change("added", table, id, row))
            elif was is not row:
                fields = {k: v for k, v in row.items() if was.get(k) != v}
                if fields:
                    changes.append(Change("changed", table, id, fields))
        changes += [Change("removed", table, id, {}) for id in old if id not in new]
    return changes
