"""requirements.txt, which Lambda's package is made from, says what uv.lock says."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAME_AND_VERSION = r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)"
REQUIREMENT = re.compile(f"^{NAME_AND_VERSION}(?P<hashes>(?: --hash=sha256:[0-9a-f]{{64}})+)$")


def locked() -> dict[str, Any]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return {package["name"]: package for package in lock["package"]}


def required() -> dict[str, tuple[str, frozenset[str]]]:
    """Version and digests by name, of every line that installs something."""
    text = (ROOT / "requirements.txt").read_text().replace(" \\\n    ", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    found = [REQUIREMENT.match(line) for line in lines]
    assert all(found), f"a line without an exact version and digests: {lines[found.index(None)]}"
    return {
        match["name"]: (match["version"], frozenset(re.findall(r"sha256:[0-9a-f]{64}", match["hashes"])))
        for match in found
        if match
    }


def closure(names: list[str], packages: dict[str, Any]) -> set[str]:
    """The packages of `names` and all that they depend on."""
    reached: set[str] = set()
    while names:
        name = names.pop()
        if name not in reached:
            reached.add(name)
            names += [dependency["name"] for dependency in packages[name].get("dependencies", ())]
    return reached


def test_it_names_what_the_cloud_group_needs_and_nothing_else() -> None:
    packages = locked()
    group = packages["spillway"]["dev-dependencies"]["cloud"]
    assert required().keys() == closure([item["name"] for item in group], packages)


def test_every_version_and_digest_is_the_locks() -> None:
    packages = locked()
    for name, (version, digests) in required().items():
        package = packages[name]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert version == package["version"]
        assert digests == {file["hash"] for file in files}
