"""The most bytes of a first view of the sample shop's mean product page, and a release as files to weigh."""

from pathlib import Path

from spillway.sitegen.release import Release

SAMPLE_REQUESTS_MAX = 3.85
SAMPLE_BYTES_MAX = 52_000


def write_site(release: Release, folder: Path) -> None:
    """Write the objects of a release as a build lays them out, apart from redirects."""
    keys = {site_object.key for site_object in release.objects}
    for site_object in release.objects:
        key = site_object.key
        if f"{key}/" in keys:
            continue
        # A key may be a folder's name as well: the home page of a language, the merchant's page.
        is_folder = key.endswith("/") or any(other.startswith(f"{key}/") for other in keys)
        file = folder / key / "index.html" if is_folder else folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(site_object.read())
