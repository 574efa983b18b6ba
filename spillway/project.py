"""Where things are: the tree of a shop, found from any folder inside it."""

from dataclasses import dataclass
from pathlib import Path

from spillway.errors import BadInput

MARKER = Path("site/site.toml")
# The theme that fills in for every file which a shop does not have itself.
DEFAULT_THEME = Path(__file__).parent / "theme"
# The name of the stage on this machine; here, where commands that build need no library for AWS.
LOCAL_STAGE = "local"


@dataclass(frozen=True, slots=True)
class Project:
    """A shop. Every path the operator's commands read or write starts here."""

    root: Path
    default_theme: Path = DEFAULT_THEME

    @classmethod
    def find(cls, start: Path) -> "Project":
        """Return the project that holds `start`.

        Raises:
            BadInput: neither `start` nor a folder above it has a site/site.toml.
        """
        for folder in (start, *start.parents):
            if (folder / MARKER).is_file():
                return cls(folder)
        raise BadInput(
            f"{start}: no {MARKER} here or in a folder above",
            hint="run spillway inside the shop's folder",
        )

    @property
    def site(self) -> Path:
        """The folder that a merchant edits."""
        return self.root / "site"

    @property
    def output(self) -> Path:
        """The output of the commands; may be deleted at any time."""
        return self.root / "build"

    @property
    def cache(self) -> Path:
        """The caches of earlier builds; may be deleted at any time."""
        return self.root / ".cache"

    @property
    def state(self) -> Path:
        """The state of the local cloud between two starts."""
        return self.root / ".spillway"
