"""Damage the databases that builds keep."""

from spillway.project import Project


def damage_databases(shop: Project) -> None:
    """Overwrite each page of the databases except the first, so that they open and cannot be read."""
    databases = list((shop.cache / "output-dirs").glob("*.sqlite"))
    assert databases
    for database in databases:
        whole = database.read_bytes()
        # https://www.sqlite.org/fileformat.html#page_size
        page_bytes = int.from_bytes(whole[16:18], "big")
        database.write_bytes(whole[:page_bytes] + b"\xa5" * (len(whole) - page_bytes))
