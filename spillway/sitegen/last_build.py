"""Keep what the last build into a folder knew in an SQLite database: files, products, and their pages.

A build begins by comparing the files of the shop and of the folder with it. Everything is written in one
transaction at the end of a build: one that dies leaves what was known before, and files that look otherwise
than recorded, which the next build makes again. A database that is damaged, or of another version, is
deleted: a build from nothing makes the same files.

A file is known by its size, its times of change and its inode. A change that keeps all four cannot be seen:
the kernel itself sets the time of the last change of a file's metadata, so that takes a clock that is set
back to the nanosecond, or a file system that does not keep this time.
"""

import pickle
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.cache import (
    Report,
    Signature,
    code_digest,
    digest_of,
    files_under,
    is_settled,
    signature_of,
)
from spillway.terminal import pluralize

if TYPE_CHECKING:
    from spillway.sitegen.release import Release

# Changes with the tables below.
_VERSION = 1
_TABLES = """
CREATE TABLE known (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE inputs (path TEXT PRIMARY KEY, signature TEXT) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, job TEXT, sha256 TEXT, signature TEXT) WITHOUT ROWID;
CREATE TABLE products (
    slug TEXT PRIMARY KEY, file TEXT, row BLOB, packed BLOB, digest TEXT, related BLOB, shown_by BLOB,
    listings BLOB
);
CREATE TABLE listings (number INTEGER PRIMARY KEY, pages BLOB);
CREATE TABLE pictures (name TEXT PRIMARY KEY, variants BLOB) WITHOUT ROWID;
"""
# SQLite takes some thousand values in one statement.
_VALUES_MAX = 500
# Stands for a file that was written a moment ago: it can be written again and look the same.
_UNSETTLED = ""


class Written(NamedTuple):
    """The record of a file: digests of its job and of its bytes, and its signature when it was written."""

    job_digest: str
    sha256: str
    signature: str


class LastBuild:
    """The database about one output directory; while it is open, no other build into that folder starts."""

    def __init__(self, project: Project, output_dir: Path) -> None:
        """Name the database; it is opened on entering."""
        name = f"{digest_of(str(output_dir))[:16]}.sqlite"
        self._file = project.cache / "output-dirs" / name
        self._output_dir = output_dir

    def __enter__(self) -> "LastBuild":
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise BadInput(
                    f"{self._output_dir}: another build into this folder is running",
                    hint="wait until it has ended, and build again",
                ) from None
            for file in self._file.parent.glob(f"{self._file.name}*"):
                file.unlink()
            self._connection = self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._connection.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self._connection.close()

    def get(self, name: str) -> Any:
        """Return the value that a build set under `name`; None without one, or when it cannot be read."""
        for (value,) in self._connection.execute("SELECT value FROM known WHERE name = ?", (name,)):
            try:
                return pickle.loads(value)  # noqa: S301 - who can write here can edit the code as well
            except Exception:  # noqa: BLE001 - written by another version of the code
                return None
        return None

    def set(self, name: str, value: object) -> None:
        """Set the value of `name`; None removes it."""
        rows = [] if value is None else [(name, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))]
        self._connection.execute("DELETE FROM known WHERE name = ?", (name,))
        self._connection.executemany("INSERT INTO known VALUES (?, ?)", rows)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        return self._connection.execute(statement, values).fetchall()

    def query_each(self, statement: str, values: Iterable[object]) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT whose "IN (...)" stands for all `values`."""
        wanted, rows = list(dict.fromkeys(values)), []
        for start in range(0, len(wanted), _VALUES_MAX):
            some = wanted[start : start + _VALUES_MAX]
            places = ", ".join("?" * len(some))
            rows += self.query(statement.replace("IN (...)", f"IN ({places})"), *some)
        return rows

    def replace(self, table: str, key: str, rows: Mapping[Any, tuple[Any, ...]]) -> None:
        """Make `table` hold exactly these rows, given by their `key`; equal rows are not written again."""
        before = {row[0]: row for row in self._connection.execute(f"SELECT * FROM {table}")}  # noqa: S608
        gone = [(name,) for name in before.keys() - rows.keys()]
        self._connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", gone)  # noqa: S608
        self.put(table, (row for name, row in rows.items() if before.get(name) != row))

    def put(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write rows over those of the same key."""
        columns = len(self.query(f"PRAGMA table_info({table})"))
        places = ", ".join("?" * columns)
        self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)  # noqa: S608

    def written(self) -> dict[str, Written]:
        """Return the record of each file, by its path in the folder."""
        rows = self._connection.execute("SELECT path, job, sha256, signature FROM files")
        return {path: Written(job, sha256, signature) for path, job, sha256, signature in rows}

    def keep_written(self, files: Mapping[str, Written], before: Mapping[str, Written]) -> None:
        """Keep the records of exactly these files; `before` are those of now."""
        gone = [(path,) for path in before.keys() - files.keys()]
        self._connection.executemany("DELETE FROM files WHERE path = ?", gone)
        new = ((path, *written) for path, written in files.items() if before.get(path) != written)
        self.put("files", new)

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            ((version,),) = connection.execute("PRAGMA user_version")
            if version != _VERSION:
                tables = "SELECT name FROM sqlite_schema WHERE type = 'table'"
                for (table,) in connection.execute(tables).fetchall():
                    connection.execute(f"DROP TABLE {table}")
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection


class Comparison:
    """The files of a shop and of its output directory, compared with the last build into that directory."""

    def __init__(
        self,
        project: Project,
        output_dir: Path,
        last: LastBuild,
        *,
        base_url: str | None,
        skip_broken_pictures: bool = False,
    ) -> None:
        """Take the signatures of the shop's files as they are now."""
        self._output_dir = output_dir
        self._last = last
        self._context = digest_of(code_digest(), base_url, skip_broken_pictures)
        self._inputs = {
            f"{name}/{path}": _settled(signature_of(entry))
            for name, folder in (("site", project.site), ("theme", project.default_theme))
            for path, entry in files_under(str(folder))
        }

    def changed_inputs(self) -> tuple[str, ...] | None:
        """Return the files that changed where nothing else did; None where anything can have.

        Names begin with "site/", or with "theme/" for the default theme. Nothing else means: the last build
        had the same options and the same code, no file was added or removed, and its output is untouched.
        """
        if self._last.get("context") != self._context:
            return None
        known = dict(self._last.query("SELECT path, signature FROM inputs"))
        if known.keys() != self._inputs.keys():
            return None
        written = dict(self._last.query("SELECT path, signature FROM files"))
        if written != dict(signatures_under(self._output_dir)):
            return None
        return tuple(
            path
            for path, signature in self._inputs.items()
            if signature == _UNSETTLED or signature != known[path]
        )

    def record(self, report: Report) -> None:
        """Record a build that just succeeded. Files edited while it ran count as changed."""
        self._last.set("context", self._context)
        self._last.set("report", tuple(report))
        self._last.replace("inputs", "path", {path: (path, text) for path, text in self._inputs.items()})


def build_what_changed(
    project: Project, folder: Path, *, base_url: str | None = None, skip_broken_pictures: bool = False
) -> Report:
    """Make `folder` hold the shop under `project`, and return the report.

    Nothing is done when nothing changed. A change inside product files makes the pages that show them, if it
    changes nothing that other pages depend on; any other change is left to a whole build, which looks at
    everything. The files are the same in each case.

    Raises:
        BadInput: see `build`.
    """
    with LastBuild(project, folder) as last:
        comparison = Comparison(
            project, folder, last, base_url=base_url, skip_broken_pictures=skip_broken_pictures
        )
        changed = comparison.changed_inputs()
        known = last.get("report")
        report = Report(*known) if known and len(known) == len(Report._fields) else None
        if changed == () and report:
            return report
        # Imported here: an unchanged shop does not need them.
        from spillway.sitegen.small_change import keep_for_small_changes, make_small_change

        made = make_small_change(project, folder, last, changed, report) if changed and report else None
        if made is None:
            from spillway.sitegen.site import read_site, render_site

            site = read_site(project, base_url=base_url, skip_broken_pictures=skip_broken_pictures)
            release = render_site(project, site, folder=folder, last=last)
            made = _report_of(release)
            keep_for_small_changes(release, last)
        comparison.record(made)
        return made


def _report_of(release: "Release") -> Report:
    from spillway.sitegen.release import Kind

    counts = Counter(site_object.kind for site_object in release.objects)
    pages = counts[Kind.PAGE] + counts[Kind.INDEX]
    summary = (
        f"release {release.id} for {release.theme.shop.base_url}: "
        f"{pluralize(len(release.products), 'product')}, {pluralize(pages, 'page')}, "
        f"{counts[Kind.ASSET]:,} pictures and assets"
    )
    notes = (*release.missing_translations, *release.notes)
    return Report(summary, notes, release.sales, release.left_out, release.launches)


def signatures_under(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the signature of every file under a folder."""
    for path, entry in files_under(str(folder)):
        yield path, _text(signature_of(entry))


def signature_text(file: str) -> str:
    """Return the signature of a file, as the database has it."""
    return _text(signature_of(file))


def _settled(signature: Signature) -> str:
    return _text(signature) if is_settled(signature) else _UNSETTLED


def _text(signature: Signature) -> str:
    size_bytes, content_ns, metadata_ns, inode = signature
    return f"{size_bytes} {content_ns} {metadata_ns} {inode}"
