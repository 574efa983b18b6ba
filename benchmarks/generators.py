"""Generators of the same shop: where each has its input, how it is started, what it has to forget."""

import shutil
import sys
from pathlib import Path

from benchmarks.catalogue import Item
from benchmarks.peers import installed, installed_by_npm

_ROOT = Path(__file__).parents[1]


class Generator:
    """One of them, in a folder of its own. Where nothing is said, it keeps nothing between two builds."""

    name: str
    command: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def forget(self) -> None:
        """Remove what it made, and what it remembers of it."""

    def edit(self, item: Item, number: int) -> None:
        """Change the words of one product."""

    def page(self, item: Item) -> Path:
        """Return the file of a product's page."""
        raise NotImplementedError(self.name)


class Spillway(Generator):
    """Ours. Pictures are developed once, by content, and are no part of a build here."""

    name = "Spillway"
    command = (sys.executable, "-m", "spillway", "build")

    def forget(self) -> None:
        shutil.rmtree(self.folder / "build", ignore_errors=True)
        shutil.rmtree(self.folder / ".cache" / "output-dirs", ignore_errors=True)
        (self.folder / ".cache" / "catalogue.pickle").unlink(missing_ok=True)

    def edit(self, item: Item, number: int) -> None:
        _edit(self.folder / "site" / "products" / f"{item.slug}.toml", number)

    def page(self, item: Item) -> Path:
        return self.folder / "build" / "site" / "products" / item.slug


class Hugo(Generator):
    """The same pages. Its theme renders the menu's categories once: for each page, the time is quadratic."""

    name = "Hugo"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.command = (str(installed("hugo")), "--quiet")

    def forget(self) -> None:
        shutil.rmtree(self.folder / "public", ignore_errors=True)

    def edit(self, item: Item, number: int) -> None:
        _edit(self.folder / "content" / item.category / f"{item.slug}.md", number)

    def page(self, item: Item) -> Path:
        return self.folder / "public" / item.category / f"{item.slug}.html"


class Eleventy(Generator):
    """Plainer pages of the same products, in Nunjucks."""

    name = "Eleventy"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        home = installed_by_npm("@11ty/eleventy")
        self.command = ("node", str(home / "cmd.cjs"), "--quiet")

    def forget(self) -> None:
        shutil.rmtree(self.folder / "_site", ignore_errors=True)


class JinjaLoop(Generator):
    """Reads ours, renders a small template, writes: in one process, with nothing else done."""

    name = "Jinja2 loop"
    command = (sys.executable, str(_ROOT / "benchmarks" / "jinja_loop.py"))


def _edit(file: Path, number: int) -> None:
    text = file.read_text()
    start = text.index('summary = "') + len('summary = "')
    file.write_text(f"{text[:start]}{number} {text[start:]}")
