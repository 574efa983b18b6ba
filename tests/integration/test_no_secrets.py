"""Nothing in the tree is a secret. A secret in history is a secret no more: it must not get there."""

import re
import subprocess
from base64 import b64encode
from pathlib import Path
from zipfile import ZipFile

import pytest

from chalicelib.domain.tokens import FormTokens
from chalicelib.storefront.renderer import Renderer
from spillway.sitegen.release import Release
from tests.support.aws import ROOT
from tests.support.uploaded import made_package

FILE_BYTES_MAX = 2_000_000
SECRETS = {
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "an AWS secret key": re.compile(r"(?i)aws.{0,20}secret.{0,20}['\"][A-Za-z0-9/+]{40}['\"]"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a token of GitHub": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{20,}\b"),
    "a token of PyPI": re.compile(r"\bpypi-[A-Za-z0-9_-]{60,}\b"),
    "a key of Stripe": re.compile(r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
    "a password in an address": re.compile(r"\b[a-z]+://[^\s/:@{}'\"]+:[^\s/:@{}'\"]{6,}@"),
}
# Keys that Amazon prints in its own examples, to be recognised as nobody's.
KNOWN_EXAMPLES = ("AKIAIOSFODNN7EXAMPLE", "AKIDEXAMPLE", "wJalrXUtnFEMI")


def tracked_files() -> list[Path]:
    """The files of the repository, or of the folder where there is no repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    folders = ("app.py", "chalicelib", "spillway", "site", "tests", "docs", ".chalice")
    return [file for name in folders for file in [ROOT / name, *(ROOT / name).rglob("*")] if file.is_file()]


def secrets_in(text: str) -> list[str]:
    """The kinds of secret that a text holds."""
    for example in KNOWN_EXAMPLES:
        text = text.replace(example, "")
    return [kind for kind, pattern in SECRETS.items() if pattern.search(text)]


def test_no_file_holds_a_secret() -> None:
    found = {}
    for file in tracked_files():
        if not file.is_file() or file.stat().st_size > FILE_BYTES_MAX or b"\0" in (raw := file.read_bytes()):
            continue
        if kinds := secrets_in(raw.decode("utf-8", "replace")):
            found[str(file.relative_to(ROOT))] = kinds
    assert found == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key = AKIA" + "ABCDEFGH234567AB", "an AWS access key"),
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "a private key"),
        ("ghp_" + "a" * 36, "a token of GitHub"),
        ("https://shop:" + "hunter22@" + "db.example", "a password in an address"),
    ],
)
def test_the_search_finds_what_it_is_for(text: str, kind: str) -> None:
    assert secrets_in(text) == [kind]


def test_the_package_that_is_uploaded_holds_no_secret_and_nothing_of_the_operators() -> None:
    with ZipFile(made_package().archive) as package:
        names = package.namelist()
        own = [name for name in names if name.startswith(("app.", "chalicelib/"))]
        texts = {name: package.read(name).decode("utf-8", "replace") for name in own}
    assert len(texts) > 100
    assert {name: kinds for name, text in texts.items() if (kinds := secrets_in(text))} == {}
    tops = {name.partition("/")[0] for name in names}
    assert {"app.pyc", "chalicelib"} <= tops
    assert not tops & {"spillway", "site", "tests", "docs", "build", ".chalice", ".spillway", ".env", ".git"}


def test_no_page_holds_a_secret_or_the_key_that_signs_its_form(small_release: Release) -> None:
    identity = b"identity-key-of-this-shop"
    form_tokens = FormTokens.of(identity, at_ms=1_790_000_000_000)
    renderer = Renderer(small_release.theme)
    signed = [
        renderer.product(product.product, product.stock, form_tokens) for product in small_release.products
    ]
    assert signed != [renderer.product(product.product, product.stock) for product in small_release.products]
    objects = [object_.read().decode("utf-8", "replace") for object_ in small_release.objects]
    assert len(objects) > 10
    for text in (small_release.theme.to_json(), *signed, *objects):
        assert secrets_in(text) == []
        assert identity.decode() not in text
        assert b64encode(identity).decode().rstrip("=") not in text
        assert identity.hex() not in text
