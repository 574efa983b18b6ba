"""The places of a shop that only its owner can fill in, marked as `[FILL IN: ...]` by `spillway new`.

A build lists them and goes on, so that a new shop can be looked at. A publish to AWS refuses them: a privacy
page without a name is worse for a shop than a day's delay, and each place takes a minute.
"""

import re
from collections.abc import Iterator

from spillway.errors import BadInput
from spillway.project import MARKER, Project
from spillway.terminal import pluralize

# Within one line, so that a build can name it.
PLACE = re.compile(r"\[FILL IN\b[^\]]*\]?")


def places_to_fill_in(project: Project) -> Iterator[str]:
    """Yield a line for each place in the shop's own files that is marked as to be filled in."""
    pages = sorted((project.site / "pages").glob("*.md"))
    for file in (project.root / MARKER, *pages):
        if file.is_file():
            for number, line in enumerate(file.read_text("utf-8", "replace").split("\n"), 1):
                for found in PLACE.finditer(line):
                    yield f"{file.relative_to(project.root).as_posix()}:{number}: {found[0]}"


def require_filled_in(project: Project) -> None:
    """Verify that no place is left to fill in.

    Raises:
        BadInput: there are some; the message lists them.
    """
    places = list(places_to_fill_in(project))
    if places:
        listed = "\n".join(f"  {place}" for place in places)
        raise BadInput(
            f"{pluralize(len(places), 'place')} to fill in, nothing was published\n{listed}",
            hint="write what belongs there, or delete the line",
        )
