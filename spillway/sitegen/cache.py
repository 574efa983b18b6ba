"""The build cache, and the fingerprints that validate its entries.

A fingerprint is a digest of values (`digest_of`), of the code that builds (`code_digest`) or of a file as the
file system describes it (`Signature`). `BuildCache` keeps results under them from one build to the next.
"""

import hashlib
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

# A file's size in bytes, its last changes of content and of metadata (ns), and its inode. Equal settled
# signatures of one path mean equal bytes. (A plain tuple: there are many, and they are pickled.)
Signature = tuple[int, int, int, int]
NOT_THERE: Signature = (0, 0, 0, 0)

LIBRARIES = (
    "anyascii",
    "babel",
    "email-validator",
    "fonttools",
    "itsdangerous",
    "jinja2",
    "markdown-it-py",
    "markupsafe",
    "nh3",
    "pillow",
    "rjsmin",
    "rtoml",
)
# The code and the figures that decide a byte of a release, or whether it is built.
CODE = (
    "chalicelib/domain",
    "chalicelib/mail/headers.py",
    "chalicelib/rules",
    "chalicelib/storage.py",
    "chalicelib/storefront",
    "chalicelib/tables/products.py",
    "spillway/preflight/amounts.py",
    "spillway/preflight/bill.py",
    "spillway/preflight/figures.json",
    "spillway/project.py",
    "spillway/sitegen",
)
_ROOT = Path(__file__).parents[2]
# A file written this recently can be written again within one tick of the file system's clock, and keep
# its signature.
_UNSETTLED_NS = 100_000_000
# UTC-12 is the last time zone in which a day ends.
_LAST_ZONE_S = 12 * 3600
# Further sales that have ended are only counted.
_SALES_NAMED_MAX = 10


class BuildCache:
    """Results of earlier builds by key, in one file. Deleting the file costs time and nothing else.

    Each value is unpickled when it is first read, and pickled only when it changed. `save` drops the keys
    that this build did not use. The file lies in the shop's own cache folder: a user who can write there can
    edit the code as well.
    """

    def __init__(self, file: Path, *, context: str) -> None:
        """Read `file`, and ignore what it holds unless it was saved with the same `context`."""
        self._file = file
        self._context = context
        self._pickled = self._read()
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """Return what an earlier build set for `key`; None when there is nothing."""
        if key not in self._before:
            self._before[key] = self._unpickled(key)
        return self._before[key]

    def set(self, key: str, value: Any) -> None:
        """Keep `value`, which is not None, for the next build."""
        self._now[key] = value

    def get_or_compute(self, key: str, compute: Callable[[], T]) -> T:
        """Return the value of `key`, and keep it for the next build."""
        if key not in self._now:
            known = self.get(key)
            self._now[key] = compute() if known is None else known
        return self._now[key]  # type: ignore[no-any-return]

    def save(self) -> None:
        """Write the values that this build used, unless the file holds exactly these."""
        pickled = {
            key: self._pickled[key]
            if value == self.get(key)
            else pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            for key, value in self._now.items()
        }
        if pickled == self._pickled:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # A build into another folder may save at the same time, from another process.
        unfinished = self._file.with_name(f"{self._file.name}.{os.getpid()}.unfinished")
        unfinished.write_bytes(pickle.dumps((self._context, pickled), pickle.HIGHEST_PROTOCOL))
        unfinished.replace(self._file)

    def _read(self) -> dict[str, bytes]:
        try:
            context, pickled = pickle.loads(self._file.read_bytes())  # noqa: S301 - see the class
        except FileNotFoundError:
            return {}
        except Exception:  # noqa: BLE001 - a damaged pickle can raise anything, and is worth nothing
            return {}
        return pickled if context == self._context else {}

    def _unpickled(self, key: str) -> Any:
        try:
            return pickle.loads(self._pickled[key])  # noqa: S301 - see the class
        except KeyError:
            return None
        except Exception:  # noqa: BLE001 - written by another version of the code
            return None


def digest_of(*parts: object) -> str:
    """Return the SHA-256 digest, in hexadecimal, of values whose `repr` is their whole content."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def code_digest() -> str:
    """Return a digest that changes with the code that builds and with the libraries it uses."""
    versions = [sys.version, *_installed()]
    parts = (_ROOT / part for part in CODE)
    files = sorted(file for part in parts for file in (part.rglob("*.py") if part.is_dir() else [part]))
    return digest_of(versions, [(file.name, file.read_bytes()) for file in files])


def _installed() -> list[str]:
    """Return the folders that name the installed versions of libraries: `importlib.metadata` reads files."""
    folders = (entry for folder in sys.path if os.path.isdir(folder) for entry in os.listdir(folder))  # noqa: PTH112, PTH208
    return sorted(
        name
        for name in folders
        if name.endswith((".dist-info", ".egg-info"))
        and name.partition("-")[0].lower().replace("_", "-") in LIBRARIES
    )


def signature_of(file: str | Path) -> Signature:
    """Return the signature of a file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = os.stat(file)  # noqa: PTH116 - thousands of times
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def is_settled(signature: Signature) -> bool:
    """Return whether the file has been left alone for long enough to be known by its signature."""
    _, _, changed_ns, _ = signature
    return time.time_ns() - changed_ns > _UNSETTLED_NS


def signatures_by_folder(
    root: str, name: str = "", *, follows_links: bool = False
) -> dict[str, dict[str, Signature]]:
    """Return the signature of every file under `root`, by its name, by the path of its folder.

    Paths begin with `name` and end with a slash. With `follows_links`, a link to a folder is followed, to
    each folder once; else it counts as a file. A link that leads nowhere is `NOT_THERE`. Most of an
    incremental build is spent in this loop, so it calls no function.
    """
    found: dict[str, dict[str, Signature]] = {}
    linked: set[str] = set()
    waiting = [(root, f"{name}/" if name else "")]
    while waiting:
        folder, path = waiting.pop()
        files: dict[str, Signature] = {}
        try:
            # The kernel looks up a name in an open folder faster than a path.
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((f"{folder}/{entry.name}", f"{path}{entry.name}/"))
                        elif follows_links and entry.is_symlink() and entry.is_dir():
                            target = os.path.realpath(f"{folder}/{entry.name}")
                            if target not in linked:
                                linked.add(target)
                                waiting.append((f"{folder}/{entry.name}", f"{path}{entry.name}/"))
                        else:
                            of = entry.stat()
                            files[entry.name] = (of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino)
                    except OSError:
                        files[entry.name] = NOT_THERE
        finally:
            os.close(descriptor)
        if files:
            found[path] = files
    return found


class Report(NamedTuple):
    """The lines that `spillway build` prints at its end.

    `summary` is the last line; `missing_translations` and `left_out` (broken pictures) are further lines.
    `sales` are the sales with an end, as (file, last day), and `launches` the variants that are coming soon,
    as (file and line, SKU, day): whether a day has passed changes with the day.
    """

    summary: str
    missing_translations: Sequence[str]
    sales: Sequence[Sequence[str]] = ()
    left_out: Sequence[str] = ()
    launches: Sequence[Sequence[str]] = ()


def ended_sales(sales: Iterable[Sequence[str]], *, today: str) -> Iterator[str]:
    """Yield a line for each of `sales` whose last day is before `today` (ISO 8601).

    The shop still charges the sale price then, as the product's file states.
    """
    ended = [(file, ends_on) for file, ends_on in sales if ends_on < today]
    for file, ends_on in ended[:_SALES_NAMED_MAX]:
        yield (
            f"{file}: the sale ended on {ends_on}, and the sale price is still charged and shown: "
            "set price, and remove compare_at_price and sale_ends_on"
        )
    if len(ended) > _SALES_NAMED_MAX:
        yield f"and {len(ended) - _SALES_NAMED_MAX} more sales that have ended"


def late_launches(
    launches: Iterable[Sequence[str]], *, at_ms: int, on_sale: Set[str] = frozenset()
) -> Iterator[str]:
    """Yield a line for each of `launches` whose day has passed everywhere, and that did not happen.

    A day has no time zone: at `at_ms` it has passed where no clock on Earth shows it any more, twelve hours
    after midnight UTC. Variants in `on_sale` were launched by an event; a build without a stage knows none.
    """
    day_begun_last = datetime.fromtimestamp(at_ms / 1000 - _LAST_ZONE_S, UTC).date().isoformat()
    late = [launch for launch in launches if launch[2] < day_begun_last and launch[1] not in on_sale]
    for place, sku, day in late[:_SALES_NAMED_MAX]:
        yield (
            f"{place}: {sku} was to be on sale from {day}, and its page still says so: "
            "set another available_on or remove it; spillway available puts it on sale"
        )
    if len(late) > _SALES_NAMED_MAX:
        yield f"and {len(late) - _SALES_NAMED_MAX} more launches whose day has passed"
