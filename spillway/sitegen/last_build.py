"""Keep what the last build into a folder knew in an SQLite database: files, products, and their pages.

A build begins by comparing the files of the shop and of the folder with it, and writes in one transaction,
committed at its end. A build that dies changes no record; the files it wrote differ from their records, so
the next build makes them again. A database that is damaged is deleted, and one of another version
gets new tables: a build from nothing makes the same files.

A file is known by its size, its times of change and its inode. A change that keeps all four cannot be seen:
the kernel itself sets the time of the last change of a file's metadata, so that takes a clock that is set
back to the nanosecond, or a file system that does not keep this time.
"""

import marshal
import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.cache import Report, Signature, digest_of, signatures_by_folder

# Raise this number when `_TABLES` changes.
_VERSION = 3
_TABLES = """
CREATE TABLE known (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE folders (path TEXT PRIMARY KEY, files BLOB);
CREATE TABLE files (path TEXT PRIMARY KEY, job TEXT, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE products (
    slug TEXT PRIMARY KEY, category TEXT, price_minor INTEGER, released_on TEXT, title TEXT,
    is_discontinued INTEGER, sale_ends_on TEXT, digest TEXT, related TEXT, row BLOB
) WITHOUT ROWID;
CREATE INDEX products_by_place ON products (is_discontinued, released_on DESC, title, slug);
CREATE INDEX products_by_likeness ON products (category, price_minor, slug, is_discontinued);
CREATE TABLE contents (slug TEXT PRIMARY KEY, packed BLOB);
CREATE TABLE listings (path TEXT PRIMARY KEY, slugs BLOB);
CREATE TABLE pictures (name TEXT PRIMARY KEY, variants BLOB) WITHOUT ROWID;
CREATE TABLE dates (path TEXT PRIMARY KEY, digest TEXT, since_ms INTEGER) WITHOUT ROWID;
"""
# SQLite takes some thousand values in one statement.
_VALUES_MAX = 500
# The format of `marshal` in which equal values have equal bytes.
_MARSHAL = 2
# The first part of a folder's path: the shop, the default theme, the output.
SHOP, THEME, OUTPUT = "site", "theme", "output"

# The files of a folder by name, with their signatures. None stands for a file that was written a moment ago:
# it can be written again and look the same.
Files = Mapping[str, Signature | None]

# SQLite finds no database, a broken page or no table. None: a value that cannot be decoded or unpacked.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, None)
T = TypeVar("T")


class DatabaseDamaged(BadInput):
    """The database cannot be read; it is deleted, so the same work succeeds when it is done again."""


def is_damage(error: BaseException | None) -> bool:
    """Return whether an error says that the database is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DatabaseError) and code in _DAMAGED


def unpacked(load: Callable[[bytes], Any], value: bytes) -> Any:
    """Return a value of the database that `load`, of marshal or pickle, unpacks.

    Raises:
        sqlite3.DatabaseError: the value is damaged.
    """
    try:
        return load(value)
    except Exception as error:
        raise sqlite3.DatabaseError(f"a value that cannot be unpacked: {error}") from error


def again_if_damaged(work: Callable[[], T]) -> T:
    """Return the result of `work`, which is done once more if it meets a damaged database."""
    try:
        return work()
    except DatabaseDamaged:
        return work()


class Written(NamedTuple):
    """The record of a file: digests of its job and of its bytes, and its signature when it was written."""

    job_digest: str
    sha256: str
    signature: Signature | None


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
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise BadInput(
                    f"{self._output_dir}: another build into this folder is running",
                    hint="wait until it has ended, and build again",
                ) from None
            if not is_damage(error):
                hint = "make the file and its folder writable, or delete it"
                raise BadInput(f"{self._file}: {error}", hint=hint) from None
            self._delete()
            self._connection = self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if is_damage(error):
            self._connection.close()
            self._delete()
            raise DatabaseDamaged(
                f"{self._file}: the database is damaged, and was deleted", hint="run the command again"
            ) from None
        try:
            self._connection.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self._connection.close()

    def _delete(self) -> None:
        for file in self._file.parent.glob(f"{self._file.name}*"):
            file.unlink()

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

    def report(self) -> Report | None:
        """Return the report of the last build; None without one."""
        known = self.get("report")
        return Report(*known) if known and len(known) == len(Report._fields) else None

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        return self._connection.execute(statement, values).fetchall()

    def each(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a SELECT, each read when it is asked for."""
        return self._connection.execute(statement)

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
        signatures = {
            f"{path.removeprefix(f'{OUTPUT}/')}{name}": signature
            for path, files in self._folders()
            if path.startswith(f"{OUTPUT}/")
            for name, signature in _read_files(files).items()
        }
        rows = self._connection.execute("SELECT path, job, sha256 FROM files")
        return {path: Written(job, sha256, signatures.get(path)) for path, job, sha256 in rows}

    def keep_written(self, files: Mapping[str, Written], before: Mapping[str, Written]) -> None:
        """Keep the records of exactly these files; `before` are those of now."""
        gone = [(path,) for path in before.keys() - files.keys()]
        self._connection.executemany("DELETE FROM files WHERE path = ?", gone)
        new = ((path, *written[:2]) for path, written in files.items() if before.get(path) != written)
        self.put("files", new)
        self.keep_folders((OUTPUT,), _by_folder(files))

    def keep_rewritten(self, files: Mapping[str, Written]) -> None:
        """Keep the records of these files, which are known already; those of others stay."""
        self.put("files", ((path, *written[:2]) for path, written in files.items()))
        folders = _by_folder(files)
        known = self.query_each("SELECT path, files FROM folders WHERE path IN (...)", folders)
        self.put("folders", ((path, _dumped(_read_files(blob) | folders[path])) for path, blob in known))

    def changed_in(self, folders: Mapping[str, Files], *names: str) -> tuple[str, ...] | None:
        """Return the files that look otherwise than in the last build; None when one came or went.

        Args:
            folders: The files as they are, by the path of their folder.
            names: The first parts of these paths.
        """
        known = {path: blob for path, blob in self._folders() if path.startswith(_beginnings(names))}
        if known.keys() != folders.keys():
            return None
        changed: list[str] = []
        for path, files in folders.items():
            if known[path] == _dumped(files) and None not in files.values():
                continue
            before = _read_files(known[path])
            if before.keys() != files.keys():
                return None
            here = [
                f"{path}{name}"
                for name, signature in files.items()
                if signature is None or signature != before[name]
            ]
            if not here:  # the same files in another order: the next comparison is one of bytes
                self.put("folders", [(path, _dumped(files))])
            changed += here
        return tuple(changed)

    def keep_folders(self, names: Sequence[str], folders: Mapping[str, Files]) -> None:
        """Keep how these files look, and nothing else of the folders whose paths begin with `names`."""
        known = {path: blob for path, blob in self._folders() if path.startswith(_beginnings(names))}
        gone = [(path,) for path in known.keys() - folders.keys()]
        self._connection.executemany("DELETE FROM folders WHERE path = ?", gone)
        dumped = ((path, _dumped(files)) for path, files in folders.items())
        self.put("folders", (row for row in dumped if known.get(row[0]) != row[1]))

    def _folders(self) -> sqlite3.Cursor:
        return self._connection.execute("SELECT path, files FROM folders")

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


def signatures_under(folder: Path) -> dict[str, Signature]:
    """Return the signature of every file under a folder, by its path there."""
    return {
        f"{path}{name}": signature
        for path, files in signatures_by_folder(str(folder)).items()
        for name, signature in files.items()
    }


def _by_folder(files: Mapping[str, Written]) -> dict[str, dict[str, Signature | None]]:
    """Return the signatures of files in the output, by name, by the path of their folder."""
    folders: dict[str, dict[str, Signature | None]] = {}
    for path, written in files.items():
        folder, _, name = f"{OUTPUT}/{path}".rpartition("/")
        folders.setdefault(f"{folder}/", {})[name] = written.signature
    return folders


def _beginnings(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}/" for name in names)


def _dumped(files: Files) -> bytes:
    return marshal.dumps(dict(files), _MARSHAL)


def _read_files(blob: bytes) -> dict[str, Signature | None]:
    files: dict[str, Signature | None] = unpacked(marshal.loads, blob)
    return files
