"""What earlier builds worked out, kept by a digest of everything it was worked out from."""

import hashlib
import pickle
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_LIBRARIES = ("anyascii", "babel", "jinja2", "markdown-it-py", "markupsafe", "nh3", "pillow", "rtoml")
_CODE = (Path(__file__).parent, Path(__file__).parents[2] / "chalicelib" / "storefront")
_DOMAIN = Path(__file__).parents[2] / "chalicelib" / "domain"


def digest_of(*parts: object) -> str:
    """A digest of values whose `repr` says all there is to say of them."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def code_digest() -> str:
    """Changes with the code that builds and with the libraries it builds with."""
    versions = [sys.version, *(version(name) for name in _LIBRARIES)]
    files = sorted(file for folder in (*_CODE, _DOMAIN) for file in folder.rglob("*.py"))
    return digest_of(versions, [(file.name, file.read_bytes()) for file in files])


class BuildCache:
    """Values of earlier builds, in one file. Losing it costs time and nothing else.

    Each value is read when it is asked for, and written when it is another than before. What a build does not
    ask for is forgotten when it is saved. Values are pickled: they lie in the shop's own cache folder, and
    whoever can write there can as well edit the code.
    """

    def __init__(self, file: Path, *, context: str) -> None:
        self._file = file
        self._context = context
        self._packed = self._read()
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    def recall(self, key: str, make: Callable[[], T]) -> T:
        """The value made for `key` before, or else made now."""
        if key not in self._now:
            known = self.get(key)
            self._now[key] = make() if known is None else known
        return self._now[key]  # type: ignore[no-any-return]

    def get(self, key: str) -> Any:
        """What an earlier build noted under `key`; None when there is nothing."""
        if key not in self._before:
            self._before[key] = self._unpacked(key)
        return self._before[key]

    def note(self, key: str, value: Any) -> None:
        """Keep `value`, which is not None, for the next build."""
        self._now[key] = value

    def save(self) -> None:
        """Keep what this build asked for, for the next one."""
        packed = {
            key: self._packed[key] if value == self.get(key) else pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            for key, value in self._now.items()
        }
        if packed == self._packed:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_name(f"{self._file.name}.unfinished")
        beside.write_bytes(pickle.dumps((self._context, packed), pickle.HIGHEST_PROTOCOL))
        beside.replace(self._file)

    def _read(self) -> dict[str, bytes]:
        try:
            context, packed = pickle.loads(self._file.read_bytes())  # noqa: S301 - see the class
        except FileNotFoundError:
            return {}
        except Exception:  # noqa: BLE001 - a pickle that broke may raise anything, and is worth nothing
            return {}
        return packed if context == self._context else {}

    def _unpacked(self, key: str) -> Any:
        try:
            return pickle.loads(self._packed[key])  # noqa: S301 - see the class
        except KeyError:
            return None
        except Exception:  # noqa: BLE001 - of another version of the code
            return None
