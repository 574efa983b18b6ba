"""The commands for stock events of other systems, over AWS in memory."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from chalice.test import Client
from click.testing import CliRunner, Result

import app as cloud
from chalicelib.domain.ids import Sku
from chalicelib.inbound.readings import ReceivedEvent
from chalicelib.inbound.sources import ADAPTERS
from spillway.commands import reconcile, sources
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from tests.integration.test_app import api, deployed

__all__ = ["api", "deployed"]

SKU, OTHER_SKU = "FJ-MOSS-M", "FJ-SLATE-M"


Run = Callable[..., Result]


class OneStage:
    """A stage whose container is the cloud's own."""

    name = "test"

    def container(self) -> object:
        return cloud.container


@pytest.fixture
def run(api: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for module in (sources, reconcile):
        monkeypatch.setattr(module, "stage_named", lambda _project, _name: OneStage())

    def invoke(command: click.Command, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(command, arguments, input=stdin, obj=Project(tmp_path))

    return invoke


def listed(run: Run) -> dict[str, dict[str, object]]:
    rows = json.loads(run(sources.sources_command, "list", "--json").output)
    return {row["source"]: row for row in rows}


def test_a_secret_is_read_from_the_input_and_the_one_before_stays_good(run: Run) -> None:
    add = ("secret", "shopify")
    for secret, kept in (("first-secret-0001", 1), ("second-secret-002", 2), ("third-secret-0003", 2)):
        result = run(sources.sources_command, *add, stdin=f"{secret}\n")
        assert result.exit_code == 0, result.output
        assert secret not in result.output
        assert listed(run)["shopify"]["secrets"] == kept
    container = cloud.container
    text = container.client("secretsmanager").get_secret_value(SecretId=container.settings.source_secrets)
    assert json.loads(text["SecretString"])["shopify"] == ["third-secret-0003", "second-secret-002"]
    run(sources.sources_command, *add, "--remove")
    assert {row["secrets"] for row in listed(run).values()} == {0}
    assert set(listed(run)) == set(ADAPTERS)


def test_a_short_secret_is_refused(run: Run) -> None:
    result = run(sources.sources_command, "secret", "square", stdin="short\n")
    assert isinstance(result.exception, BadInput)
    assert result.exception.message == "the secret has 5 characters"
    # One character is lost: no signature would ever fit.
    cut = run(sources.sources_command, "secret", "generic", stdin="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\n")
    assert isinstance(cut.exception, BadInput)
    assert cut.exception.message == "the part after whsec_ is no base64"


def test_locations_are_stored_and_forgotten(run: Run) -> None:
    run(sources.sources_command, "locations", "square", "A", "B")
    assert listed(run)["square"]["locations"] == ["A", "B"]
    shown = run(sources.sources_command, "locations", "square")
    assert shown.output == "square: counts A, B\n"
    assert listed(run)["square"]["locations"] == ["A", "B"]
    both = run(sources.sources_command, "locations", "square", "A", "--all")
    assert isinstance(both.exception, BadInput)
    for source, written in (
        ("square", "A,B"),
        ("shopify", "gid://shopify/Location/1"),
        ("shopify", "Berlin"),
    ):
        wrong = run(sources.sources_command, "locations", source, written)
        assert isinstance(wrong.exception, BadInput)
        assert wrong.exception.message == f"LOCATION {written!r}: no id of a location of {source}"
    assert run(sources.sources_command, "locations", "square", "--all").output == (
        "square: counts every location\n"
    )
    assert listed(run)["square"]["locations"] == []


def test_a_source_without_locations_is_refused_where_they_are_chosen(run: Run) -> None:
    result = run(sources.sources_command, "locations", "woocommerce", "A")
    assert result.exit_code == 2
    assert "'woocommerce' is not one of 'shopify', 'square'" in result.output
    assert listed(run)["woocommerce"]["locations"] == []


def test_sources_are_listed_in_columns(run: Run) -> None:
    lines = run(sources.sources_command, "list").output.splitlines()
    assert [line.split()[0] for line in lines] == list(ADAPTERS)
    assert len({line.index("http") for line in lines}) == 1
    assert len({line.index("secret") for line in lines if "  no secret" in line}) == 1


def test_links_are_imported_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    head = "source,foreign_id,sku\n"
    good = f"bigcommerce,variant:509,{SKU}\n"
    for wrong, message in (
        ("shopfy,variant:1,A\n", "line 3: source is 'shopfy'"),
        (f"shopify,77,{SKU}\n", "line 3: foreign_id is '77'"),
        (f"square,variaton:77,{SKU}\n", "line 3: foreign_id is 'variaton:77'"),
        (f"generic,variant:77,{SKU}\n", "line 3: foreign_id is 'variant:77'"),
        ("shopify,variant:1,NO-SUCH\n", "line 3: the shop sells no SKU 'NO-SUCH'"),
        ("shopify,variant:1,\n", "line 3: sku is ''"),
        (f"shopify,variant:gid://shopify/ProductVariant/1,{SKU}\n", "line 3: foreign_id is 'variant:gid:"),
        (f"bigcommerce,variant:509,{OTHER_SKU}\n", f"'variant:509' is {OTHER_SKU!r}, and {SKU!r} in line 2"),
        ('square,"variation:1,A\n', "links.csv:3: unexpected end of data"),
    ):
        file.write_text(head + good + wrong)
        result = run(sources.links_command, "import", str(file))
        assert isinstance(result.exception, BadInput)
        assert message in result.exception.message
        assert cloud.container.events.linked("bigcommerce", ["variant:509"]) == {}
    # As a spreadsheet of a country with decimal commas writes it.
    file.write_text(f"SKU;Source;Foreign_id;Größe\n{SKU};bigcommerce;variant:509;M\n", encoding="cp1252")
    refused = run(sources.links_command, "import", str(file))
    assert isinstance(refused.exception, BadInput)
    assert "--encoding cp1252" in refused.exception.hint
    imported = run(sources.links_command, "import", str(file), "--encoding", "cp1252")
    assert imported.output == "1 link stored\n"
    assert cloud.container.events.linked("bigcommerce", ["variant:509"]) == {"variant:509": Sku(SKU)}
    links = json.loads(run(sources.links_command, "list", "--json").output)
    assert {"source": "bigcommerce", "foreign_id": "variant:509", "sku": SKU} in links


def test_events_are_listed_with_what_they_changed(run: Run) -> None:
    at_ms = cloud.container.clock_ms()
    event = ReceivedEvent("listed-1", at_ms, "square", "received", ({"sku": SKU, "outcome": "changed"},))
    cloud.container.events.record(event)
    output = run(sources.events_command, "--hours", "1").output
    assert f"square  received  {SKU} changed\n" in output
    rows = json.loads(run(sources.events_command, "--json").output)
    assert {"sku": SKU, "outcome": "changed"} in [
        row["results"][0] for row in rows if row["id"] == "listed-1"
    ]


def test_a_followed_event_is_printed_once_as_it_comes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    table, looks = cloud.container.events, iter((1, 2, 3))

    def wait(seconds: float) -> None:
        assert seconds == sources.FOLLOWED_EACH_S
        look = next(looks, None)
        if look is None:
            raise KeyboardInterrupt
        result = ({"sku": SKU, "outcome": f"look {look}"},)
        table.record(ReceivedEvent(f"look-{look}", cloud.container.clock_ms(), "square", "received", result))

    monkeypatch.setattr(sources, "time", SimpleNamespace(sleep=wait))
    lines = run(sources.events_command, "--follow").output.splitlines()
    followed = [line.split("received  ")[1] for line in lines if "look" in line]
    assert followed == [f"{SKU} look 1", f"{SKU} look 2", f"{SKU} look 3"]


def accounts() -> dict[str, dict[str, str]]:
    container = cloud.container
    text = container.client("secretsmanager").get_secret_value(
        SecretId=container.settings.stock_accounts_secret
    )
    stored: dict[str, dict[str, str]] = json.loads(text["SecretString"])
    return stored


def test_an_account_is_stored_listed_without_its_token_and_removed(run: Run) -> None:
    woo = ("account", "woocommerce", "--url", "https://shop.example/", "--user", "ck_1a2b")
    result = run(sources.sources_command, *woo, stdin="cs_0123456789\n")
    assert result.exit_code == 0, result.output
    assert "cs_0123456789" not in result.output
    url = "https://erp.example/stock.csv?key=hush"
    assert run(sources.sources_command, "account", "generic", "--url", url, "--public").exit_code == 0
    assert accounts() == {
        "woocommerce": {"url": "https://shop.example", "secret": "cs_0123456789", "user": "ck_1a2b"},
        "generic": {"url": url},
    }
    assert listed(run)["generic"]["stock_list"] == "https://erp.example/stock.csv"
    assert "hush" not in run(sources.sources_command, "list").output
    for source in ("woocommerce", "generic"):
        run(sources.sources_command, "account", source, "--remove")
    assert accounts() == {}
    assert listed(run)["woocommerce"]["stock_list"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("shopify",), "--url: missing"),
        (("shopify", "--url", "https://shop.example"), "the API is at NAME.myshopify.com"),
        (("generic", "--url", "http://erp.example/a.csv"), "it does not begin with https://"),
        (("woocommerce", "--url", "https://shop.example"), "--user: missing"),
        (("generic", "--url", "https://erp.example/a", "--user", "a"), "--user: generic has none"),
        (("generic", "--url", "https://erp.example/a"), "the token has 5 characters"),
        (("shopify", "--url", "https://a.myshopify.com", "--public"), "--public: shopify"),
        (("shopify", "--url", "https://a.myshopify.com/admin"), "more than the shop's address"),
        (
            ("woocommerce", "--url", "https://a.example/?p=1", "--user", "ck_1"),
            "more than the shop's address",
        ),
    ],
)
def test_a_wrong_account_is_refused_by_its_option(run: Run, words: tuple[str, ...], message: str) -> None:
    result = run(sources.sources_command, "account", *words, stdin="short")
    assert isinstance(result.exception, BadInput)
    assert message in result.exception.message
    assert accounts() == {}


def test_a_list_is_shown_by_a_dry_run_then_applied_and_wrong_lines_are_named(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "stock.csv"
    file.write_text(f"sku,stock\n{SKU},41\nNO-SUCH,1\nFJ-SLATE-M,many\n")
    before = units()
    shown = run(reconcile.reconcile_command, "generic", "--file", str(file), "--dry-run")
    assert f"{SKU}: " in shown.output
    assert "-> InStock (41)" in shown.output
    assert "1 in the list, and not sold here: NO-SUCH" in shown.output
    assert units() == before
    result = run(reconcile.reconcile_command, "generic", "--file", str(file), "--json")
    assert isinstance(result.exception, WorkFailed)
    assert 'line 4: the quantity "many" is no whole number of units' in result.exception.message
    (difference,) = json.loads(result.output)["differences"]
    assert (difference["after"], difference["outcome"]) == (
        {"availability": "InStock", "units": 41},
        "changed",
    )
    assert units() == 41
    # The file is older than the stock by now.
    os.utime(file, (1, 1))
    file_again = run(reconcile.reconcile_command, "generic", "--file", str(file), "--dry-run")
    assert file_again.output.startswith("0 differ, 1 is as listed, 0 have a later event\n")


def units() -> int | None:
    stocked = cloud.container.products.get("field-jacket")
    assert stocked is not None
    return stocked.stock[Sku(SKU)].units


def test_a_list_above_the_limit_is_refused_with_the_way_out(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text(f"sku,stock\n{SKU},77\nFJ-SLATE-M,78\n")
    before = units()
    result = run(reconcile.reconcile_command, "generic", "--file", str(file), "--changes-max", "1")
    assert isinstance(result.exception, BadInput)
    assert result.exception.message == (
        "generic: 2 of 2 variants would change, more than the limit of 1; nothing was changed"
    )
    assert "--changes-max N and --percent-max P" in str(result.exception.hint)
    assert units() == before


def test_a_source_without_an_account_or_a_file_that_is_no_list_is_named(run: Run, tmp_path: Path) -> None:
    result = run(reconcile.reconcile_command, "shopify")
    assert isinstance(result.exception, BadInput)
    assert "spillway sources account shopify" in str(result.exception.hint)
    file = tmp_path / "stock.csv"
    file.write_text("name\nA\n")
    result = run(reconcile.reconcile_command, "generic", "--file", str(file))
    assert isinstance(result.exception, BadInput)
    assert result.exception.message.startswith(f"{file}: line 1: the columns are name")
