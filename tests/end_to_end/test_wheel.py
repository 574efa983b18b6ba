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
from tests.support.small_shop import make_small_shop

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


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A shop with content, and no file of a theme or of the cloud."""
    return make_small_shop(tmp_path / "shop")


def test_a_shop_is_built_and_packaged_without_a_checkout(
    spillway: Path, shop: Project, tmp_path: Path
) -> None:
    assert "Usage: spillway build" in run(spillway, "build", "--help", cwd=tmp_path)
    assert "2 products" in run(spillway, "-C", shop.root, "build", cwd=tmp_path)
    assert "<title>" in (shop.output / "site" / "products" / "scarf").read_text()
    assert "build/package/deployment.zip" in run(spillway, "-C", shop.root, "package", cwd=tmp_path)
    assert (shop.output / "package" / "sam.json").is_file()


def test_the_demo_of_a_shop_plays_its_story_without_a_checkout(
    spillway: Path, shop: Project, tmp_path: Path
) -> None:
    port = str(free_ports())
    played = run(spillway, "-C", shop.root, "demo", "--check", "--fresh", "--port", port, cwd=tmp_path)
    assert "comes back" in played
