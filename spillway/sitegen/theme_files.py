"""The files of a shop's theme: those of the default theme, and the shop's own in their place.

A file in site/ replaces the file of the default theme with the same name: site/templates/product.html stands
in for templates/product.html. Further files of the shop's own are added. Everything else comes from the
default theme, so a shop gets its improvements with an upgrade.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from spillway.errors import BadInput
from spillway.project import DEFAULT_THEME, Project
from spillway.sitegen.reading.text_file import link_problem, not_utf_8

TEMPLATES, EMAILS, STATIC, LOCALES = FOLDERS = ("templates", "emails", "static", "locales")


@dataclass(frozen=True, slots=True)
class ThemeFile:
    """A file of a theme by its name ("templates/product.html"): the shop's own, the default one, or both."""

    name: str
    own: Path | None
    default: Path | None

    @property
    def path(self) -> Path:
        """The file that counts: the shop's own if there is one."""
        path = self.own or self.default
        assert path is not None, self.name  # noqa: S101 - a name comes from one of the two
        return path

    def read_text(self) -> str:
        """Return the text of the file that counts.

        Raises:
            BadInput: it is not saved as UTF-8.
        """
        try:
            # A browser takes the mark at the start of such a file as part of a style sheet's first rule.
            return self.path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            mistake = not_utf_8(f"site/{self.name}", error.object, error.start)
            raise BadInput(str(mistake), hint="save it and build again") from error


@dataclass(frozen=True, slots=True)
class ThemeFiles:
    """Every file of a theme: `own` is the shop's folder, None for the default theme alone."""

    own: Path | None
    default: Path = DEFAULT_THEME

    @classmethod
    def of(cls, project: Project) -> "ThemeFiles":
        """Return the files of a shop's theme."""
        return cls(project.site, project.default_theme)

    def under(self, folder: str) -> dict[str, ThemeFile]:
        """Return the files in one of `FOLDERS` and below it, by their names there, in the order of names.

        Raises:
            BadInput: the shop has a file where the folder belongs.
        """
        own = _paths(self.own / folder) if self.own else {}
        default = _paths(self.default / folder)
        names = sorted(own.keys() | default.keys(), key=lambda name: name.split("/"))
        return {name: ThemeFile(f"{folder}/{name}", own.get(name), default.get(name)) for name in names}

    def assets(self) -> dict[str, Path]:
        """Return the files that are served as they are, by name: those in static/, not below it."""
        return {name: file.path for name, file in self.under(STATIC).items() if "/" not in name}

    def texts(self) -> dict[str, str]:
        """Return every template, email and style sheet, by the name that templates know it by."""
        texts = {name: file.read_text() for name, file in self.under(TEMPLATES).items()}
        texts |= {f"{EMAILS}/{name}": file.read_text() for name, file in self.under(EMAILS).items()}
        styles = {name: file for name, file in self.under(STATIC).items() if name.endswith(".css")}
        return texts | {f"{STATIC}/{name}": file.read_text() for name, file in styles.items()}


def file_of_template(name: str) -> str:
    """Return the file of a template in a theme: "emails/frame.html", "templates/product.html"."""
    return name if name.startswith((f"{EMAILS}/", f"{STATIC}/")) else f"{TEMPLATES}/{name}"


def is_default(name: str, text: str, default: Path = DEFAULT_THEME) -> bool:
    """Return whether `text` is that of the file `name` in the default theme."""
    try:
        return (default / name).read_text(encoding="utf-8") == text
    except FileNotFoundError:
        return False


def _paths(folder: Path) -> dict[str, Path]:
    """Return the files in a folder and below it, by their names there, in any order; none of an editor's."""
    if problem := link_problem(str(folder)):
        raise BadInput(f"{folder}: {problem}", hint="mend the link, or delete it")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: a file, where a folder belongs", hint="rename it, or delete it")
    found: dict[str, Path] = {}
    todo = [("", str(folder))] if folder.exists() else []
    while todo:
        prefix, place = todo.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.name.startswith(".") or entry.name.endswith("~"):
                    continue
                elif problem := link_problem(entry.path):
                    raise BadInput(f"{entry.path}: {problem}", hint="mend the link, or delete it")
                elif entry.is_file():
                    found[f"{prefix}{entry.name}"] = Path(entry.path)
    return found
