"""The wheel, installed into an empty environment, needs no checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spillway.project import Project
from tests.end_to_end.demo import free_ports
from tests.support.aws import ROOT

pytestmark = pytest.mark.slow

UV = shutil.which("uv") or shutil.which(ROOT / ".tools" / "bin" / "uv")


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command that succeeds, with nothing of this checkout in its environment; return its output."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    ran = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def spillway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command of an environment that has the wheel and what it depends on."""
    if UV is None:
        pytest.skip("uv is not installed: run make setup")
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, f"{wheel}[demo]", cwd=folder)
    places = "import chalicelib, spillway; print(chalicelib.__file__, spillway.__file__)"
    assert str(ROOT) not in run(python, "-c", places, cwd=folder)
    return folder / "venv" / "bin" / "spillway"


@pytest.fixture(scope="module")
def shop(spillway: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a new shop, made by the installed command."""
    folder = tmp_path_factory.mktemp("new")
    words = ("--name", "Harbour Pottery", "--language", "en-GB", "--currency", "GBP", "--no-git")
    assert "Next:" in run(spillway, "new", "shop", *words, cwd=folder)
    return Project(folder / "shop")


def test_a_new_shop_is_built_and_packaged_without_a_checkout(spillway: Path, shop: Project) -> None:
    folder = shop.root.parent
    assert "Usage: spillway build" in run(spillway, "build", "--help", cwd=folder)
    assert "3 products" in run(spillway, "-C", shop.root, "build", cwd=folder)
    assert "<title>Serving bowl" in (shop.output / "site" / "products" / "serving-bowl").read_text()
    assert "build/package/deployment.zip" in run(spillway, "-C", shop.root, "package", cwd=folder)
    assert (shop.output / "package" / "sam.json").is_file()


def test_the_demo_of_a_new_shop_plays_its_story_without_a_checkout(spillway: Path, shop: Project) -> None:
    words = ("demo", "--check", "--fresh", "--port", str(free_ports()))
    assert "comes back" in run(spillway, "-C", shop.root, *words, cwd=shop.root.parent)
