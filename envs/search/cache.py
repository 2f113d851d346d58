"""Results of web searches, kept in an SQLite file so that a run can be repeated, offline and for nothing.

Safe to share by threads and by processes. A result that is there is never asked for again: results do not grow old,
which is what makes runs repeatable. Delete the file to start anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from agentrl.envs.search.retrievers import RetrieverError

WAIT_S = 30.0
"""How long to wait for another process that writes."""


class ResultCache:
    """Decoded JSON by the request that brought it.

    Args:
        file: Made with its folders when something is first written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._open: tuple[int, sqlite3.Connection] | None = None

    def get(self, request: dict[str, Any]) -> Any | None:
        """What was kept of a request; None where nothing was.

        Raises:
            RetrieverError: the file cannot be read.
        """
        if self._open is None and not self.file.exists():
            return None
        rows = self._run("SELECT result FROM results WHERE key = ?", (_key(request),))
        return json.loads(rows[0][0]) if rows else None

    def put(self, request: dict[str, Any], result: Any) -> None:
        """Keep a result; one that is there already stays.

        Raises:
            RetrieverError: the file cannot be written.
        """
        row = (_key(request), json.dumps(request), json.dumps(result), time.time())
        self._run("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", row)

    def __len__(self) -> int:
        return int(self._run("SELECT COUNT(*) FROM results", ())[0][0]) if self.file.exists() else 0

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            try:
                connection = self._connection()
                with connection:
                    return connection.execute(statement, values).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise RetrieverError(
                    f"The cache of search results {self.file} cannot be used: {error}. Give another file by the "
                    "option cache, delete this one if it is damaged, or turn it off by cache_mode=off."
                ) from error

    def _connection(self) -> sqlite3.Connection:
        """This process's connection: SQLite's must not be carried over a fork."""
        if self._open is None or self._open[0] != os.getpid():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.file, timeout=WAIT_S, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, request TEXT, result TEXT, at REAL)"
            )
            self._open = os.getpid(), connection
        return self._open[1]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._open is not None and self._open[0] == os.getpid():
                self._open[1].close()
            self._open = None


def _key(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
