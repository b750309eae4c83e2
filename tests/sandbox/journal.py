"""What a sandbox keeps over a restart: one JSON object per line, appended, read back at the start."""

import json
from collections.abc import Iterator
from pathlib import Path


class Journal:
    """Appends records to a file; without a path it remembers nothing."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def append(self, record: dict[str, object]) -> None:
        """Add one record."""
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def read(self) -> Iterator[dict[str, object]]:
        """Every whole record, oldest first; a line cut by a crash is passed over."""
        if not self.path or not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def clear(self) -> None:
        """Forget everything."""
        if self.path:
            self.path.unlink(missing_ok=True)
