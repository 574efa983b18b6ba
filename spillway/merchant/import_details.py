"""The file of an import's details: one line for each row of the export, with its address."""

import csv
from collections.abc import Sequence
from pathlib import Path

from spillway.errors import BadInput
from spillway.local_cloud.local_cloud import make_private
from spillway.merchant.intake import RowDecision
from spillway.merchant.waitlist_report import safe_cell
from spillway.project import Project, private_file, require_writable

HEADER = ["line", "outcome", "sku", "address", "note"]
FIRST_LINE = ",".join(HEADER).encode()


def details_file(project: Project, digest: str) -> Path:
    """Return where the details of a file with this digest go by default; its folder is there afterwards."""
    make_private(project.state)
    folder = project.state / "waitlist"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"import-{digest[:12]}.csv"


def require_details_file(file: Path, export: Path) -> None:
    """Check that the details of an import may be written to a file, before anything is imported.

    Raises:
        BadInput: the file is the export itself, holds something else than details, or cannot be written.
    """
    try:
        if file.exists():
            _require_details(file, export)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", hint="name a file that can be written") from None
    require_writable(file)


def write_details(file: Path, decisions: Sequence[RowDecision]) -> None:
    """Write what became of each row, with addresses, for the owner of the file alone."""
    with private_file(file, replaces=True) as out:
        table = csv.writer(out)
        table.writerow(HEADER)
        for decision in decisions:
            texts = (decision.outcome, decision.row.sku, decision.row.email, decision.note or "")
            table.writerow([decision.row.line, *(safe_cell(text) for text in texts)])


def _require_details(file: Path, export: Path) -> None:
    if file.samefile(export):
        raise BadInput(f"--report {file}: this is the export itself", hint="name another file")
    if file.is_file():
        with file.open("rb") as opened:
            if opened.readline(len(FIRST_LINE) + 2).rstrip(b"\r\n") == FIRST_LINE:
                return
    raise BadInput(
        f"--report {file}: exists already, and holds no details of an import",
        hint="name another file, or delete that one",
    )
