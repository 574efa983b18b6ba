"""Caches of builds may be damaged, cleaned or old: the next build makes what a build from nothing makes."""

import os
import shutil
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen import pictures
from spillway.sitegen.incremental import FileComparison, build_what_changed
from spillway.sitegen.last_build import LastBuild
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.site import build
from tests.support.damaged_database import damage_databases
from tests.support.small_shop import make_small_shop
from tests.unit.test_build_incremental import (
    FILES_SETTLE_AT_ONCE,
    build_from_nothing,
    change,
    content,
    file_of,
    files,
)


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path / "shop")


@pytest.mark.parametrize("edit", [None, ("A long scarf.", "A longer scarf.")])
def test_a_database_that_is_damaged_inside_is_made_again(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str] | None
) -> None:
    folder = shop.output / "site"
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    build_what_changed(shop, folder)
    damage_databases(shop)
    if edit:
        change(shop.site / "products/scarf.toml", *edit)

    build_what_changed(shop, folder)

    fresh = build_from_nothing(shop, {}, tmp_path)
    assert files(folder) == {file_of(key): body for key, body in content(fresh).items()}
    monkeypatch.setattr("spillway.sitegen.site.read_site", None)
    assert build_what_changed(shop, folder).summary.startswith(f"release {fresh.id} for ")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE folders SET files = x'a5a5'",
        "UPDATE products SET row = x'a5a5'",
        "UPDATE listings SET slugs = x'a5a5'",
        "UPDATE pictures SET variants = x'a5a5'",
        "UPDATE files SET job = CAST(x'ff' AS TEXT)",
        "DROP TABLE contents",
    ],
)
def test_a_value_of_the_database_that_is_damaged_is_made_again(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    folder = shop.output / "site"
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    build_what_changed(shop, folder)
    (database,) = (shop.cache / "output-dirs").glob("*.sqlite")
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()
    change(shop.site / "products/scarf.toml", "A long scarf.", "A longer scarf.")

    build_what_changed(shop, folder)

    fresh = build_from_nothing(shop, {}, tmp_path)
    assert files(folder) == {file_of(key): body for key, body in content(fresh).items()}


@pytest.mark.parametrize("name", ["products", "pictures", "templates"])
def test_an_edit_under_a_linked_folder_is_seen(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    linked, elsewhere = shop.site / name, tmp_path / "elsewhere"
    linked.mkdir(exist_ok=True)
    linked.rename(elsewhere)
    linked.symlink_to(elsewhere)
    (elsewhere / "to-itself").symlink_to(elsewhere)
    file = next((file for file in sorted(elsewhere.iterdir()) if file.is_file()), elsewhere / "no.html")
    file.touch()
    build_what_changed(shop, shop.output / "site")
    comparison = partial(FileComparison, shop, shop.output / "site", base_url=None)
    with LastBuild(shop, shop.output / "site") as last:
        assert comparison().changed_inputs(last) == ()
    os.utime(file, ns=(1, 1))
    with LastBuild(shop, shop.output / "site") as last:
        assert comparison().changed_inputs(last) == (f"site/{name}/{file.name}",)


@pytest.mark.parametrize("name", ["hat.toml", ".#scarf.toml"])
@pytest.mark.parametrize("to", ["gone", "itself"])
def test_a_link_that_leads_nowhere_is_a_mistake_or_passed_over_by_each_build(
    shop: Project, name: str, to: str
) -> None:
    build_what_changed(shop, shop.output / "site")
    link = shop.site / "products" / name
    link.symlink_to(link if to == "itself" else to)
    for _ in range(2):
        if name == "hat.toml":
            with pytest.raises(CatalogueInvalid, match=r"site/products/hat\.toml: file = 'a link to "):
                build_what_changed(shop, shop.output / "site")
        else:
            build_what_changed(shop, shop.output / "site")


def test_a_linked_folder_in_the_output_is_removed_and_what_it_leads_to_is_kept(
    shop: Project, tmp_path: Path
) -> None:
    build_what_changed(shop, shop.output / "site")
    (tmp_path / "album").mkdir()
    (tmp_path / "album/photo.jpg").write_bytes(b"a photo")
    (shop.output / "site/album").symlink_to(tmp_path / "album")
    build_what_changed(shop, shop.output / "site")
    assert not (shop.output / "site/album").is_symlink()
    assert (tmp_path / "album/photo.jpg").read_bytes() == b"a photo"


def test_an_empty_folder_in_the_place_of_a_page_makes_room_for_it(shop: Project) -> None:
    page = shop.output / "site/products/scarf"
    build_what_changed(shop, shop.output / "site")
    made = page.read_bytes()
    page.unlink()
    page.mkdir()
    build_what_changed(shop, shop.output / "site")
    assert page.read_bytes() == made


def test_the_line_of_a_late_launch_moves_with_the_lines_above_it(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    file = shop.site / "products/scarf.toml"
    change(file, "stock = 2", 'availability = "ComingSoon"\navailable_on = 2020-01-01')
    before = build_what_changed(shop, shop.output / "site").launches
    file.write_text(f"# A comment.\n{file.read_text()}")
    after = build_what_changed(shop, shop.output / "site").launches
    ((place, *launch),), ((place_after, *launch_after),) = before, after
    name, line = place.rsplit(":", 1)
    assert (place_after, launch_after) == (f"{name}:{int(line) + 1}", launch)


def test_the_name_of_a_release_does_not_depend_on_earlier_builds(shop: Project, tmp_path: Path) -> None:
    build(shop)
    pictures = sorted((shop.site / "pictures").iterdir())
    pictures[0].write_bytes(pictures[-1].read_bytes())
    edited = build(shop).id
    assert build(shop).id == edited
    assert build_from_nothing(shop, {}, tmp_path).id == edited


@pytest.mark.parametrize("left", [None, b"", b"another picture"])
def test_a_file_of_the_picture_cache_that_is_gone_or_damaged_is_made_again(
    shop: Project, left: bytes | None
) -> None:
    shutil.copytree((shop.cache / "pictures").resolve(), shop.root / "kept")
    (shop.cache / "pictures").unlink()
    (shop.root / "kept").rename(shop.cache / "pictures")
    made = content(build(shop))
    for file in (shop.cache / "pictures").rglob("*.avif"):
        file.unlink() if left is None else file.write_bytes(left)
    for name in ("catalogue.pickle", "site"):
        path = shop.cache / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert content(build(shop)) == made


def test_a_picture_that_is_saved_while_it_is_read_is_shown_as_it_is_and_then_as_it_was(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, other = (shop.site / "pictures" / name for name in ("jacket.webp", "scarf.webp"))
    right, before = content(build(shop)), picture.read_bytes()
    (shop.cache / "pictures").unlink()

    def saved_meanwhile(source: Path, folder: Path) -> None:
        picture.write_bytes(other.read_bytes())
        write_variants(source, folder)

    write_variants = pictures._write_variants
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_write_variants", saved_meanwhile)
        saved = build(shop)
    assert content(saved) == content(build_from_nothing(shop, {}, tmp_path))
    picture.write_bytes(before)
    assert content(build(shop)) == right


def test_a_database_that_cannot_be_written_is_named(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shop.output / "site"
    build_what_changed(shop, folder)
    (database,) = (shop.cache / "output-dirs").glob("*.sqlite")
    database.unlink()
    database.mkdir()
    with pytest.raises(BadInput, match="unable to open database file") as refused:
        build_what_changed(shop, folder)
    assert str(database) in str(refused.value)
    assert refused.value.hint == "make the file and its folder writable, or delete it"
