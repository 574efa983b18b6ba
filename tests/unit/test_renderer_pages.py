"""Pages as shoppers and search engines read them, for every state of the stock."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from chalicelib.domain.entry import OptIn
from chalicelib.domain.product import Picture, PictureSource, Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import FormTokens, Offer
from chalicelib.storefront.localization import MoneyFormat, Texts
from chalicelib.storefront.renderer import Renderer, begins_with
from chalicelib.storefront.theme import Edition, Listing, MenuLink, Shop, Theme
from spillway.sitegen.translations import read_texts
from tests.support.small_shop import THEME

SHOP = Shop(
    name="Heron & Daughters",
    tagline="Clothes for weather",
    base_url="https://www.heron.example",
    currency="GBP",
    locale="en-GB",
    sender="Heron <hello@heron.example>",
    reply_to="hello@heron.example",
    checkout="https://pay.heron.example/cart?shop=7&item={sku}",
    postal_address=("3 Quay Street", "Ambleford"),
)
PICTURE = Picture(
    url="/pictures/jacket-960-aa.jpg",
    width=960,
    height=1200,
    alt="A green jacket",
    sources=(PictureSource("image/avif", (("/pictures/jacket-320-bb.avif", 320),)),),
)
JACKET = Product(
    slug="field-jacket",
    title="Field Jacket",
    summary="A waxed jacket.",
    description_html="<p>Waxed <em>cotton</em>.</p>",
    category="outerwear",
    pictures=(PICTURE,),
    variants=(
        Variant("FJ-S", 14800, (("Size", "S"),)),
        Variant("FJ-M", 14800, (("Size", "M"),)),
        Variant("FJ-L", 14800, (("Size", "L"),)),
    ),
    details=(("Fabric", "Cotton"),),
)
ONE_SCARF = replace(JACKET, slug="scarf", title="Scarf", variants=(Variant("SCARF", 4500),))
SHELF = Listing("/shop/outerwear", "listing.html", "Outerwear", "Against wind.", ("field-jacket", "scarf"))
EVIL = "</script><script>alert(1)</script>{{ shop.sender }}{% raw %}\"'&\u2028"


def shelf_of(renderer: Renderer, *stocked: tuple[Product, Mapping[str, Stock]]) -> str:
    return renderer.listing(SHELF, {item[0].slug: partial(renderer.card, *item) for item in stocked})


def theme(shop: Shop = SHOP) -> Theme:
    texts = {file.name: file.read_text() for file in (THEME / "templates").iterdir()}
    texts["static/shop.css"] = "p::after{content:'<' \"&\"}"
    texts["static/product.css"] = "b::after{content:'<'}"
    return Theme(
        release="r1",
        templates=texts,
        assets={
            **{name: f"/assets/{name}" for name in ("shop.js", "listing.js")},
            "icon.svg": "data:image/svg+xml;base64,PHN2Zy8+",
        },
        editions=(
            Edition(
                shop=shop,
                money=MoneyFormat("£", "", ".", ",", 2),
                listings=(
                    Listing("/", "home.html", "Coats", "For weather.", ("field-jacket",), PICTURE),
                    SHELF,
                ),
                navigation=(MenuLink("About", "/about"),),
            ),
        ),
    )


def stock(**availability: Availability) -> dict[str, Stock]:
    return {sku.replace("_", "-"): Stock(item, None, 1, "e1") for sku, item in availability.items()}


class Page(HTMLParser):
    """Every element of a page with the forms they stand in, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self._form = ""
        self._in_script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = values.get("id", "other")
        self.elements.append((self._form, tag, values))
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [values for _, element, values in self.elements if element == tag]

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Each variant that can be picked, with what becomes of it: buy, wait or nothing."""
        bought = {values["href"].rpartition("=")[2] for values in self.all("a") if "item=" in values["href"]}
        found = [values for values in self.all("input") if values.get("name") == "sku"]
        kinds = [
            "buy" if values["value"] in bought else "wait" if _waits(values) else "nothing"
            for values in found
        ]
        return [(values["value"], kind) for values, kind in zip(found, kinds, strict=True)]

    def has_form(self, form: str) -> bool:
        return any(place == form for place, _, _ in self.elements)


def _waits(values: Mapping[str, str]) -> bool:
    return "data-wait" in values or values["type"] == "hidden"


def product_page(product: Product, held: Mapping[str, Stock]) -> Page:
    return Page(Renderer(theme()).product(product, held))


def test_available_variants_can_be_bought_and_sold_out_ones_waited_for() -> None:
    page = product_page(
        JACKET,
        stock(FJ_S=Availability.IN_STOCK, FJ_M=Availability.OUT_OF_STOCK, FJ_L=Availability.PRE_ORDER),
    )

    assert page.choices == [("FJ-S", "buy"), ("FJ-M", "wait"), ("FJ-L", "buy")]


def test_a_product_that_is_all_there_has_no_waitlist() -> None:
    page = product_page(ONE_SCARF, stock(SCARF=Availability.IN_STOCK))

    assert [item["href"] for item in page.all("a") if item.get("class") == "button"] == [
        "https://pay.heron.example/cart?shop=7&item=SCARF"
    ]
    assert not page.has_form("waitlist")


def test_a_product_that_is_sold_out_cannot_be_bought() -> None:
    held = stock(
        FJ_S=Availability.OUT_OF_STOCK, FJ_M=Availability.OUT_OF_STOCK, FJ_L=Availability.OUT_OF_STOCK
    )

    page = product_page(JACKET, held)

    assert page.choices == [("FJ-S", "wait"), ("FJ-M", "wait"), ("FJ-L", "wait")]


def test_a_variant_nobody_has_counted_is_sold_out() -> None:
    assert product_page(ONE_SCARF, {}).choices == [("SCARF", "wait")]


def test_a_discontinued_variant_can_neither_be_bought_nor_waited_for() -> None:
    html = Renderer(theme()).product(ONE_SCARF, stock(SCARF=Availability.DISCONTINUED))

    assert Page(html).choices == []
    assert not Page(html).has_form("waitlist")
    assert "We no longer sell this one." in html
    held = stock(FJ_S=Availability.IN_STOCK, FJ_M=Availability.DISCONTINUED)
    assert product_page(JACKET, held).choices == [("FJ-S", "buy"), ("FJ-M", "nothing"), ("FJ-L", "wait")]


def test_several_variants_are_picked_one_at_a_time_and_a_single_one_goes_along() -> None:
    several, single = product_page(JACKET, {}), product_page(ONE_SCARF, {})

    assert [(item["type"], item["form"]) for item in several.all("input") if item.get("name") == "sku"] == [
        ("radio", "waitlist")
    ] * 3
    assert [item["type"] for item in single.all("input") if item["name"] == "sku"] == ["hidden"]


def test_buying_leads_to_the_checkout_with_the_sku() -> None:
    page = product_page(JACKET, stock(FJ_S=Availability.IN_STOCK, FJ_L=Availability.PRE_ORDER))

    links = [item["href"] for item in page.all("a") if item.get("class") == "button"]
    assert links == [f"https://pay.heron.example/cart?shop=7&item={sku}" for sku in ("FJ-S", "FJ-L")]


def test_the_waitlist_form_needs_no_script_and_has_what_the_api_reads() -> None:
    page = product_page(ONE_SCARF, {})

    form = next(item for item in page.all("form") if item.get("id") == "waitlist")
    fields = {item["name"]: item for item in page.all("input")}
    assert (form["action"], form["method"]) == ("/api/waitlist", "post")
    assert set(fields) == {"sku", "page", "form_token", "knot", "email"}
    assert fields["page"]["value"] == "/products/scarf"
    honeypot = fields["knot"]
    assert (honeypot["autocomplete"], honeypot["tabindex"]) == ("off", "-1")
    # The attributes by which 1Password, LastPass, Bitwarden and Dashlane leave a field alone.
    assert {"data-1p-ignore", "data-lpignore", "data-bwignore", "data-form-type"} <= honeypot.keys()
    (trap,) = [item for item in page.all("p") if item.get("class") == "trap"]
    assert trap["aria-hidden"] == "true"
    assert "inert" in trap
    assert fields["email"]["type"] == "email"
    assert "waitlist-email-error" in fields["email"]["aria-describedby"]
    assert [item["role"] for item in page.all("p") if "role" in item] == ["status"]


def test_the_waitlist_form_has_a_token_for_the_variants_it_offers() -> None:
    form_tokens = FormTokens.of(b"identity", at_ms=0)
    held = stock(FJ_S=Availability.IN_STOCK, FJ_M=Availability.OUT_OF_STOCK)
    page = Page(Renderer(theme()).product(JACKET, held, form_tokens))
    fields = {item["name"]: item.get("value", "") for item in page.all("input")}
    assert form_tokens.read(fields["form_token"]) == Offer(("FJ-M", "FJ-L"))
    assert fields["form_token"].count(".") == 4


def test_a_page_says_whether_an_email_has_to_be_answered() -> None:
    single = theme(replace(SHOP, opt_in=OptIn.SINGLE))
    form_tokens = FormTokens.of(b"identity", at_ms=0)
    asks, takes = (Renderer(item).product(ONE_SCARF, {}, form_tokens) for item in (theme(), single))
    assert "You get a link first" in asks
    assert "on the list at once" in takes
    assert "link first" not in takes
    (form_token,) = (item["value"] for item in Page(takes).all("input") if item["name"] == "form_token")
    assert form_tokens.read(form_token).opt_in is OptIn.SINGLE
    assert "Now check your inbox" in Renderer(theme()).page("waitlist-thanks.html")
    assert "Nothing more to do" in Renderer(Theme.from_json(single.to_json())).page("waitlist-thanks.html")


def test_a_form_to_be_sent_once_more_has_every_field_escaped() -> None:
    fields = [("email", '"><script>@example.com'), ("sku", "SCARF")]
    html = Renderer(theme()).page(
        "form-again.html", problems=["<b>Old</b>"], fields=fields, action="/api/waitlist"
    )
    sent = [(item["name"], item["value"]) for item in Page(html).all("input")]
    assert sent == fields
    assert "<b>" not in html
    assert "<script>@" not in html


def test_the_json_ld_says_each_variant_in_schema_org_words() -> None:
    page = product_page(JACKET, stock(FJ_S=Availability.IN_STOCK, FJ_M=Availability.OUT_OF_STOCK))

    document = json.loads(page.scripts[0])
    assert (document["@type"], document["productGroupID"]) == ("ProductGroup", "field-jacket")
    assert document["variesBy"] == ["https://schema.org/size"]
    assert document["url"] == "https://www.heron.example/products/field-jacket"
    assert document["image"] == ["https://www.heron.example/pictures/jacket-960-aa.jpg"]
    assert "brand" not in document, "a product without a brand is not the shop's own"
    variants = document["hasVariant"]
    assert [(variant["sku"], variant["name"], variant["size"]) for variant in variants] == [
        ("FJ-S", "Field Jacket, S", "S"),
        ("FJ-M", "Field Jacket, M", "M"),
        ("FJ-L", "Field Jacket, L", "L"),
    ]
    assert [(variant["offers"]["price"], variant["offers"]["availability"]) for variant in variants] == [
        ("148.00", "https://schema.org/InStock"),
        ("148.00", "https://schema.org/OutOfStock"),
        ("148.00", "https://schema.org/OutOfStock"),
    ]
    # Google asks for a URL that picks the variant: the page's script reads the SKU.
    picks = [f"{document['url']}?sku={sku}" for sku in ("FJ-S", "FJ-M", "FJ-L")]
    assert [variant["offers"]["url"] for variant in variants] == picks


def test_catalogue_text_is_never_markup_nor_a_template() -> None:
    evil = replace(
        JACKET,
        title=EVIL,
        summary=EVIL,
        details=((EVIL, EVIL),),
        pictures=(replace(PICTURE, alt=EVIL, options=((EVIL, EVIL),)),),
        variants=(
            Variant("A", 100, ((EVIL, EVIL), ("Size", EVIL))),
            Variant("B", 100, ((EVIL, "x"), ("Size", "y"))),
        ),
    )
    for held in ({}, stock(A=Availability.IN_STOCK)):
        html = Renderer(theme()).product(evil, held)
        page = Page(html)

        assert all("alert" not in script or script.startswith("{") for script in page.scripts)
        assert json.loads(page.scripts[0])["name"] == EVIL
        assert not re.search(r"<script>|<script [^>]*alert", html)
        assert "\u2028" not in page.scripts[0]
        assert "hello@heron.example" not in html

    card = shelf_of(Renderer(theme()), (evil, {}))
    assert "<script>alert" not in card
    assert "hello@heron.example" not in card


@pytest.mark.parametrize("held", [{}, stock(FJ_S=Availability.IN_STOCK)])
def test_a_page_asks_nobody_else_and_has_no_inline_code(held: Mapping[str, Stock]) -> None:
    page = product_page(JACKET, held)

    for _, tag, values in page.elements:
        assert "style" not in values
        assert not any(name.startswith("on") for name in values)
        for name in ("src", "srcset"):
            assert values.get(name, "/").startswith("/")
        if tag == "link" and values["rel"] != "canonical":
            assert values["href"].startswith(("/", "data:image/"))
        if tag == "script":
            assert "src" in values or values["type"] == "application/ld+json"


def test_the_only_styles_are_the_themes_own_and_the_only_ones_the_page_allows() -> None:
    texts = theme().templates
    renderer = Renderer(theme())
    product, thanks = renderer.product(JACKET, {}), renderer.page("waitlist-thanks.html")
    for html, names in ((product, ("product", "shop")), (thanks, ("shop",))):
        styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        assert styles == [texts[f"static/{name}.css"] for name in names]
        digests = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
        (allowed,) = re.findall("style-src ([^;]+);", policy)
        assert sorted(allowed.split()) == sorted(f"'sha256-{digest}'" for digest in digests)
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert html.index(policy) < html.index("<style>")


def test_a_page_of_the_catalogue_names_its_own_address() -> None:
    page = product_page(JACKET, {})

    links = {item["rel"]: item["href"] for item in page.all("link")}
    meta = {item.get("property") or item.get("name"): item.get("content") for item in page.all("meta")}
    assert links["canonical"] == meta["og:url"] == "https://www.heron.example/products/field-jacket"
    assert meta["og:title"] == "Field Jacket – Heron & Daughters"
    assert meta["description"] == meta["og:description"] == "A waxed jacket."
    assert page.all("body") == [{"data-page": "product"}]


def test_a_card_says_in_words_what_cannot_be_bought() -> None:
    renderer = Renderer(theme())

    assert "Sold out" in shelf_of(renderer, (JACKET, {}))
    assert "Sold out" not in shelf_of(renderer, (JACKET, stock(FJ_S=Availability.IN_STOCK)))
    assert "Pre-order" in shelf_of(renderer, (ONE_SCARF, stock(SCARF=Availability.PRE_ORDER)))


def test_a_listing_keeps_the_order_it_is_given() -> None:
    page = Page(shelf_of(Renderer(theme()), (ONE_SCARF, {}), (JACKET, {})))

    links = [item["href"] for item in page.all("a") if item["href"].startswith("/products/")]
    assert links == ["/products/scarf", "/products/field-jacket"]


def test_a_listing_of_one_page_has_what_its_script_filters_and_sorts_by() -> None:
    renderer = Renderer(theme())
    page = Page(shelf_of(renderer, (JACKET, {}), (ONE_SCARF, stock(SCARF=Availability.PRE_ORDER))))

    jacket, scarf = (item for item in page.all("li") if item.get("class") == "card")
    assert (jacket["data-price"], json.loads(jacket["data-options"])) == (
        "14800",
        [["Size", ["S", "M", "L"]]],
    )
    assert (scarf["data-price"], json.loads(scarf["data-options"])) == ("4500", [])
    assert ("data-out" in jacket, "data-out" in scarf) == (True, False)
    (controls,) = (item for item in page.all("div") if item.get("class") == "sift")
    assert "hidden" in controls
    assert "/assets/listing.js" in [item.get("src") for item in page.all("script")]


def test_a_listing_of_several_pages_or_of_one_product_has_no_controls() -> None:
    renderer = Renderer(theme())
    for listing in (replace(SHELF, count=2), replace(SHELF, slugs=("scarf",))):
        html = renderer.listing(listing, {"scarf": partial(renderer.card, JACKET, {})})
        assert 'sift"' not in html
        assert "listing.js" not in html


@pytest.mark.parametrize(
    ("template", "action"), [("confirm.html", "/api/confirm"), ("unsubscribe.html", "/api/unsubscribe")]
)
def test_a_page_behind_an_email_acts_by_one_button_only(template: str, action: str) -> None:
    html = Renderer(theme()).page(template, product=JACKET, variant=JACKET.variants[1], token='t"1', coming=0)
    page = Page(html)

    (form,) = page.all("form")
    (field,) = page.all("input")
    assert (form["action"], form["method"]) == (action, "post")
    assert field == {"type": "hidden", "name": "token", "value": 't"1'}
    assert len(page.all("button")) == 1
    assert {"name": "robots", "content": "noindex"} in page.all("meta")
    assert {"name": "referrer", "content": "no-referrer"} in page.all("meta")


def test_the_page_to_leave_by_stands_without_knowing_the_product() -> None:
    assert "Unsubscribe?" in Renderer(theme()).page("unsubscribe.html", token="t")


def test_a_refused_form_is_answered_in_words_with_a_way_back() -> None:
    html = Renderer(theme()).page(
        "form-problem.html", problems=["<b>No</b> address."], back_path="/products/scarf"
    )

    assert "&lt;b&gt;No&lt;/b&gt; address." in html
    assert {"class": "button", "href": "/products/scarf"} in Page(html).all("a")


def test_an_undefined_value_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        Renderer(theme()).page("confirm.html", product=JACKET, variant=JACKET.variants[0])


def test_the_same_input_gives_the_same_page_also_after_a_round_through_json() -> None:
    first = Renderer(theme()).product(JACKET, {})
    stored = Product.from_document(json.loads(json.dumps(JACKET.to_document())))

    assert Renderer(Theme.from_json(theme().to_json())).product(stored, {}) == first


def test_every_label_and_description_points_at_something() -> None:
    page = product_page(JACKET, stock(FJ_S=Availability.IN_STOCK))

    ids = [values["id"] for _, _, values in page.elements if "id" in values]
    assert len(ids) == len(set(ids))
    for _, _, values in page.elements:
        for name in ("for", "aria-describedby", "aria-labelledby"):
            assert set(values.get(name, "").split()) <= set(ids)
        if values.get("href", "").startswith("#"):
            assert values["href"][1:] in ids


@pytest.mark.parametrize(
    ("name", "locale", "asked"),
    [
        ("Size", "en-GB", "Choose a size"),
        ("Colour", "en-GB", "Choose a colour"),
        ("Lens", "en-GB", "Choose lens"),
        ("EU size", "en-GB", "Choose EU size"),
        ("Größe", "de", "Größe wählen"),
        ("Garn", "de-AT", "Garn wählen"),
    ],
)
def test_an_option_is_asked_for_in_a_sentence_of_the_page(name: str, locale: str, asked: str) -> None:
    variants = tuple(Variant(f"A-{value}", 100, ((name, value),)) for value in "SM")
    base = theme(replace(SHOP, locale=locale))
    german = read_texts((THEME / "locales" / "de.po").read_text(), locale="de", file="de.po", mistakes=[])
    edition = replace(base.editions[0], texts=german if locale.startswith("de") else Texts())
    html = Renderer(replace(base, editions=(edition,))).product(replace(JACKET, variants=variants), {})
    assert f'<p class="ask">{asked}</p>' in html


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["<p>", "<b>x", "</b>", "Wool", "Wo", "<!-- a -->", " ", "&amp;", "&", "coat"])),
    st.sampled_from(["Wool", "Wool coat", "Woolcoat", "& Wool", "x", ""]),
)
def test_markup_begins_with_a_text_as_its_text_does(parts: list[str], text: str) -> None:
    html = "".join(parts)

    assert begins_with(html, text) == Markup(html).striptags().startswith(text)
