"""The headers that a browser sends decide if a server on this machine answers it."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from spillway.local_cloud.servers import BrowserGuard, hosts_of

OWN = {"host": "127.0.0.1:8000"}


def status(method: str = "GET", *, pictures: bool = False, **headers: str) -> int | None:
    """The status a request is refused with, or None."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    refused = BrowserGuard(hosts_of(8000), pictures=pictures).refusal(method, OWN | said)
    return refused[0] if refused else None


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000"])
def test_its_own_names_are_answered(host: str) -> None:
    assert status(host=host) is None
    assert status("POST", host=host, origin="http://127.0.0.1:8000", sec_fetch_site="same-origin") is None


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1", "127.0.0.1:8001", "evil.example:8000", "127.0.0.1.nip.io:8000"]
)
def test_any_other_name_is_misdirected(host: str) -> None:
    assert status(host=host) == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:8001", "null", "http://localhost"]
)
def test_pages_of_other_origins_are_refused_even_where_they_claim_to_be_opened(origin: str) -> None:
    assert status(origin=origin) == 403
    assert status("POST", origin=origin) == 403
    assert status("POST", origin=origin, sec_fetch_mode="navigate", sec_fetch_dest="document") == 403


def test_a_form_without_a_referrer_reaches_its_own_server_alone() -> None:
    assert status("POST", origin="null", sec_fetch_site="same-origin") is None
    assert status("POST", origin="null", sec_fetch_site="cross-site") == 403
    assert status("POST", origin="null", sec_fetch_site="none") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_may_be_followed_from_elsewhere_and_nothing_else(site: str) -> None:
    assert status(sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document") is None
    assert status("POST", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document") == 403
    assert status(sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe") == 403
    assert status(sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="script") == 403
    assert status(sec_fetch_site=site, sec_fetch_mode="cors", sec_fetch_dest="empty") == 403


def test_pictures_may_be_shown_elsewhere_where_a_server_allows_it() -> None:
    def shown(method: str = "GET", *, pictures: bool) -> int | None:
        return status(method, pictures=pictures, sec_fetch_site="cross-site", sec_fetch_dest="image")

    assert shown(pictures=False) == 403
    assert shown(pictures=True) is None
    assert shown("POST", pictures=True) == 403
    # Chromium says so of the pictures of a sandboxed email.
    assert status(pictures=True, origin="null", sec_fetch_site="cross-site", sec_fetch_dest="image") is None


@pytest.mark.anyio
async def test_a_refused_request_does_not_reach_the_application() -> None:
    app = BrowserGuard(hosts_of(8000)).around(PlainTextResponse("secret"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        assert (await client.get("http://127.0.0.1:8000/")).text == "secret"
        refused = await client.get("http://evil.example:8000/")
    assert (refused.status_code, refused.text) == (
        421,
        "Refused: this server answers to its own name alone.\n",
    )
