"""The preview shows each edit of the shop in the browser."""

import asyncio
from pathlib import Path

import httpx
import pytest

from spillway.merchant.email_pages import EMAILS_PATH, EmailPages
from spillway.project import Project
from spillway.sitegen.preview import SCRIPT_PATH, PreviewedShop, SourceLine, shown_mistakes
from tests.support.small_shop import make_small_shop

URL = "http://127.0.0.1:8080"
BROWSER = {"accept": "text/html,*/*;q=0.8"}


def ask(preview: PreviewedShop, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        app = preview.app(*EmailPages(preview, lambda: 1_790_000_000_000).routes())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(asked())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


@pytest.fixture
def preview(project: Project) -> PreviewedShop:
    preview = PreviewedShop(project, base_url=URL)
    preview.rebuild_if_changed()
    return preview


def test_every_page_is_served_where_it_will_be_and_reloads_itself(preview: PreviewedShop) -> None:
    for path in ("/", "/products/scarf", "/shop/all"):
        answer = ask(preview, path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert f'src="{SCRIPT_PATH}?build=1"' in answer.text
    assert "EventSource" in ask(preview, SCRIPT_PATH).text
    assert ask(preview, "/nowhere").status_code == 404
    assert ask(preview, "/sitemap.xml").headers["content-type"].startswith(("text/xml", "application/xml"))


def test_an_edit_is_seen_at_the_next_look_and_only_then(preview: PreviewedShop, project: Project) -> None:
    assert not preview.rebuild_if_changed()
    scarf = project.site / "products/scarf.toml"
    scarf.write_text(scarf.read_text().replace("A long scarf.", "A longer scarf."))
    assert preview.rebuild_if_changed()
    assert preview.number == 2
    assert "A longer scarf." in ask(preview, "/products/scarf").text


def test_files_of_an_editor_neither_stop_the_preview_nor_are_served(
    preview: PreviewedShop, project: Project
) -> None:
    before = preview.release and preview.release.id
    for name in ("products/.#scarf.toml", "pages/.#privacy.md", "templates/.#card.html"):
        (project.site / name).parent.mkdir(exist_ok=True)
        (project.site / name).symlink_to("somebody@their-machine.4711")
    (project.site / "products/._scarf.toml").write_bytes(b"\0\5\x16\7")
    (project.site / "templates/card.html~").write_text("as it was")
    assert preview.rebuild_if_changed()
    assert (preview.error, preview.release and preview.release.id) == (None, before)
    scarf = project.site / "products/scarf.toml"
    scarf.write_text(scarf.read_text().replace("A long scarf.", "A longer scarf."))
    assert preview.rebuild_if_changed()
    assert "A longer scarf." in ask(preview, "/products/scarf").text


def test_a_mistake_is_shown_until_it_is_corrected(preview: PreviewedShop, project: Project) -> None:
    scarf = project.site / "products/scarf.toml"
    right = scarf.read_text()
    scarf.write_text(right.replace('"45.00"', '"<b>45</b>"'))
    preview.rebuild_if_changed()
    answer = ask(preview, "/products/scarf")
    assert answer.status_code == 500
    assert '<p class="place">site/products/scarf.toml:3</p>' in answer.text
    assert "<b>" not in answer.text
    assert f'src="{SCRIPT_PATH}?build=2"' in answer.text
    scarf.write_text(right)
    preview.rebuild_if_changed()
    assert ask(preview, "/products/scarf").status_code == 200


@pytest.mark.parametrize("path", ["/../../site/site.toml", "/%2e%2e/%2e%2e/site/site.toml", "//etc/passwd"])
def test_nothing_outside_the_build_is_served(preview: PreviewedShop, path: str) -> None:
    answer = ask(preview, path)
    assert answer.status_code == 404
    assert "base_url" not in answer.text


def test_a_form_is_answered_that_there_is_no_waitlist_here(preview: PreviewedShop) -> None:
    by_script = ask(preview, "/api/waitlist", "POST", accept="application/json")
    # The form's own script shows the detail of a problem below 500 whose status is the answer's.
    assert (by_script.status_code, by_script.json()["status"]) == (409, 409)
    assert by_script.json()["detail"].startswith("Preview: no waitlist here. Nothing was sent")
    assert by_script.headers["content-type"] == "application/problem+json"

    page = ask(preview, "/api/waitlist", "POST", **BROWSER, referer=f"{URL}/products/scarf?a=1")
    assert page.status_code == 409
    assert "<h1>Preview: no waitlist here</h1>" in page.text
    assert '<a href="/products/scarf">Back' in page.text


def test_every_mistake_is_shown_with_its_line_and_the_lines_around_it(
    preview: PreviewedShop, project: Project
) -> None:
    scarf, jacket = project.site / "products/scarf.toml", project.site / "products/field-jacket.toml"
    scarf.write_text(scarf.read_text().replace("category", "categry").replace('"45.00"', '"£45"'))
    jacket.write_text(jacket.read_text().replace("stock = 4", "stock = -4"))
    preview.rebuild_if_changed()

    assert preview.error is not None
    found = {mistake.place: mistake for mistake in shown_mistakes(preview.error, project)}
    line = jacket.read_text().splitlines().index("stock = -4") + 1
    assert set(found) == {
        "site/products/scarf.toml",  # no category
        "site/products/scarf.toml:2",
        "site/products/scarf.toml:3",
        f"site/products/field-jacket.toml:{line}",
    }
    price = found["site/products/scarf.toml:3"]
    assert price.text.startswith("price = '£45': expected ")
    assert price.lines == (
        SourceLine(1, 'title = "Wool Scarf"', False),
        SourceLine(2, 'categry = "accessories"', False),
        SourceLine(3, 'price = "£45"', True),
        SourceLine(4, 'summary = "A long scarf."', False),
        SourceLine(5, 'description = "Lambswool."', False),
    )
    page = ask(preview, "/").text
    assert "<h1>4 mistakes: the shop was not built again</h1>" in page
    assert '<span class="wrong"><span class="number">3</span>price = &#34;£45&#34;' in page


def test_a_mistake_in_a_template_is_shown_with_its_line(preview: PreviewedShop, project: Project) -> None:
    own = project.site / "templates/home.html"
    own.parent.mkdir(exist_ok=True)
    text = (project.default_theme / "templates/home.html").read_text()
    own.write_text(text.replace("{% block main %}", "{% block main %}\n{{ nothing.here }}"))
    preview.rebuild_if_changed()

    assert preview.error is not None
    (mistake,) = shown_mistakes(preview.error, project)
    number = own.read_text().splitlines().index("{{ nothing.here }}") + 1
    assert (mistake.place, mistake.text) == (
        f"site/templates/home.html:{number}",
        "'nothing' is undefined",
    )
    assert [line.text for line in mistake.lines if line.wrong] == ["{{ nothing.here }}"]


def test_only_the_pages_that_an_edit_is_on_are_rendered_again(
    preview: PreviewedShop, project: Project
) -> None:
    folder = project.cache / "preview"
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    scarf = project.site / "products/scarf.toml"
    scarf.write_text(scarf.read_text().replace("Lambswool.", "Merino."))
    preview.rebuild_if_changed()

    written = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.stat().st_mtime_ns != before.get(file)
    }
    assert written == {"products/scarf", "index.html", "shop/all", "shop/accessories"}


def test_a_build_has_no_script_of_the_preview(preview: PreviewedShop, project: Project) -> None:
    pages = [file.read_bytes() for file in (project.cache / "preview").rglob("*") if file.is_file()]
    assert not any(b"_preview" in page for page in pages)


def test_every_email_is_shown_in_a_frame_with_its_text_beside_it(preview: PreviewedShop) -> None:
    first = ask(preview, EMAILS_PATH)
    assert (first.status_code, first.headers["location"]) == (307, f"{EMAILS_PATH}/confirm")
    page = ask(preview, f"{EMAILS_PATH}/available?width=360&scheme=dark").text

    assert "<h1" in page
    assert "Field Jacket (Moss, S) is back</h1>" in page
    assert f'<iframe class="w360" src="{EMAILS_PATH}/available/body.html?width=360&amp;scheme=dark"' in page
    assert "First come, first served" in page.partition('class="plain"')[2]
    for kind in ("confirm", "already", "available", "my-waitlists", "sign-in", "test", "available-preorder"):
        assert f'href="{EMAILS_PATH}/{kind}?width=360&amp;scheme=dark"' in page
    for switched in ("width=700&amp;scheme=dark", "width=360&amp;scheme=light"):
        assert f'href="{EMAILS_PATH}/available?{switched}"' in page
    assert "allow-scripts" not in page


def test_an_email_is_dark_or_light_as_chosen_and_runs_no_script(preview: PreviewedShop) -> None:
    dark, light = (
        ask(preview, f"{EMAILS_PATH}/available/body.html?scheme={scheme}") for scheme in ("dark", "light")
    )
    assert "@media all{" in dark.text
    assert "@media not all{" in light.text
    assert f'src="{URL}/pictures/' in light.text
    policy = light.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "allow-scripts" not in policy
    assert ask(preview, f"{EMAILS_PATH}/nothing/body.html").status_code == 404
    assert ask(preview, f"{EMAILS_PATH}/nothing").headers["location"] == EMAILS_PATH


def test_emails_follow_an_edit_and_show_its_mistakes(preview: PreviewedShop, project: Project) -> None:
    address = f"{EMAILS_PATH}/available"
    assert "Field Jacket (Moss, S) is back" in ask(preview, address).text
    jacket = project.site / "products/field-jacket.toml"
    right = jacket.read_text()
    jacket.write_text(right.replace('title = "Field Jacket"', 'title = "Field Coat"'))
    preview.rebuild_if_changed()
    assert "Field Coat (Moss, S) is back" in ask(preview, address).text
    jacket.write_text(right.replace("148.00", "£148"))
    preview.rebuild_if_changed()
    assert ask(preview, address).status_code == 500
    assert ask(preview, f"{address}/body.html").status_code == 404


@pytest.mark.parametrize("name", ["preview.css", "fit.js"])
def test_the_previews_own_files_are_served_and_no_other(preview: PreviewedShop, name: str) -> None:
    assert ask(preview, f"/_preview/{name}").status_code == 200
    for other in ("emails.html", "..%2fpreview.py", "nothing.js"):
        assert ask(preview, f"/_preview/{other}").status_code == 404
