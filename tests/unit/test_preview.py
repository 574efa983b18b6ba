"""The preview shows each edit of the shop in the browser."""

import asyncio
from pathlib import Path

import httpx
import pytest

from spillway.project import Project
from spillway.sitegen.preview import SCRIPT_PATH, Preview
from tests.support.small_shop import make_small_shop


def ask(preview: Preview, path: str, method: str = "GET") -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(preview.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.request(method, path)

    return asyncio.run(asked())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


@pytest.fixture
def preview(project: Project) -> Preview:
    preview = Preview(project, base_url="http://127.0.0.1:8080")
    preview.rebuild_if_changed()
    return preview


def test_every_page_is_served_where_it_will_be_and_reloads_itself(preview: Preview) -> None:
    for path in ("/", "/products/scarf", "/shop/all"):
        answer = ask(preview, path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert f'src="{SCRIPT_PATH}"' in answer.text
    assert "EventSource" in ask(preview, SCRIPT_PATH).text
    assert ask(preview, "/nowhere").status_code == 404
    assert ask(preview, "/sitemap.xml").headers["content-type"].startswith(("text/xml", "application/xml"))


def test_an_edit_is_seen_at_the_next_look_and_only_then(preview: Preview, project: Project) -> None:
    assert not preview.rebuild_if_changed()
    scarf = project.site / "products/scarf.toml"
    scarf.write_text(scarf.read_text().replace("A long scarf.", "A longer scarf."))
    assert preview.rebuild_if_changed()
    assert preview.number == 2
    assert "A longer scarf." in ask(preview, "/products/scarf").text


def test_a_mistake_is_shown_until_it_is_corrected(preview: Preview, project: Project) -> None:
    scarf = project.site / "products/scarf.toml"
    right = scarf.read_text()
    scarf.write_text(right.replace('"45.00"', '"<b>45</b>"'))
    preview.rebuild_if_changed()
    answer = ask(preview, "/products/scarf")
    assert answer.status_code == 500
    assert "site/products/scarf.toml:3: price" in answer.text
    assert "<b>" not in answer.text
    scarf.write_text(right)
    preview.rebuild_if_changed()
    assert ask(preview, "/products/scarf").status_code == 200


@pytest.mark.parametrize("path", ["/../../site/site.toml", "/%2e%2e/%2e%2e/site/site.toml", "//etc/passwd"])
def test_nothing_outside_the_build_is_served(preview: Preview, path: str) -> None:
    answer = ask(preview, path)
    assert answer.status_code == 404
    assert "base_url" not in answer.text


def test_the_waitlist_is_not_played(preview: Preview) -> None:
    assert ask(preview, "/api/waitlist", "POST").status_code == 501
