"""Where the figures go: the terminal, and results.md under a heading of their own."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")


def write_table(heading: str, command: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, and put it in the place of the one that stood under `heading`."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    when = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores"
    section = "\n".join(
        [f"## {heading}", "", f"`{command}`, {when}, Python {platform.python_version()}", "", *lines, ""]
    )
    print(section)
    known = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Figures\n\n"
    others = re.sub(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", "", known, flags=re.MULTILINE | re.DOTALL)
    RESULTS.write_text(others.rstrip() + "\n\n" + section, encoding="utf-8")
