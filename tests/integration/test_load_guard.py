"""Load goes to this machine or to the shop's own domain, and nowhere else; nor does it cost unasked."""

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.guard import own_base_url, require_own
from spillway.errors import BadInput

ROOT = Path(__file__).parents[2]
OWN = "https://www.shop.example"


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "https://127.8.9.10"]
)
def test_this_machine_may_be_loaded(host: str) -> None:
    assert require_own(host, OWN) == host


def test_so_may_the_shop_itself() -> None:
    assert require_own(OWN, OWN) == OWN
    assert own_base_url(ROOT / "site").startswith("https://")


@pytest.mark.parametrize(
    "host",
    [
        "https://www.other.example",
        "http://www.shop.example",
        "https://www.shop.example:8443",
        "https://www.shop.example.other.example",
        "https://shop.example",
        "http://192.168.1.20:8000",
        "http://0.0.0.0:8000",
        "http://127.0.0.1@shop.example",
        "http://127.0.0.1.shop.example",
        "http://localhost.shop.example",
        "http://shop.example/127.0.0.1",
        "127.0.0.1:8000",
        "ftp://127.0.0.1",
        "http://[127.0.0.1",
        "",
        None,
    ],
)
def test_another_machine_may_not(host: str | None) -> None:
    with pytest.raises(BadInput, match="to this machine or to the shop's own"):
        require_own(host, OWN)


def test_a_shop_that_names_no_domain_of_its_own_is_this_machine_alone() -> None:
    with pytest.raises(BadInput):
        require_own("", "")
    with pytest.raises(BadInput):
        require_own("http://shop.example", "http://shop.example")  # whose pages anybody could change


def test_locust_refuses_before_it_sends_anything() -> None:
    words = ["-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--host", "https://shop.example"]
    ran = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert "--host https://shop.example: load is sent to this machine or to the shop's own" in ran.stderr
    assert "Traceback" not in ran.stderr
