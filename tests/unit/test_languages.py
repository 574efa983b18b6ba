"""A shop in two languages: the same pages twice, each in its own words, each naming the other."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from click.testing import CliRunner

from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.locales import requested_root_of, root_of
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.domain.tokens import LinkTokens
from chalicelib.services.email_composer import EmailComposer
from chalicelib.storefront.localization import Texts
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Theme
from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.local_cloud.shopper import until
from spillway.project import DEFAULT_THEME, Project
from spillway.sitegen.cache import is_settled, signature_of
from spillway.sitegen.incremental import build_what_changed
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from spillway.sitegen.theme_files import ThemeFiles
from spillway.sitegen.translations import read_texts, texts_over, update_catalogue
from tests.support.aws import ROOT
from tests.support.german_shop import make_german_shop
from tests.support.small_shop import own_file

BASE = "https://www.heron.example"
LINKED = "field-jacket?sku=FJ-MOSS-M"


@pytest.fixture
def release(german_release: Release) -> Release:
    return german_release


def page(release: Release, key: str) -> str:
    return next(item for item in release.objects if item.key == key).read().decode()


def test_every_page_of_the_first_locale_is_there_in_the_other(release: Release) -> None:
    keys = {item.key for item in release.objects if item.language == "en-GB"} - {"404"}
    german = {item.key for item in release.objects if item.language == "de"}
    assert german == {"de" if key == "index.html" else f"de/{key}" for key in keys}
    assert "de/feed.xml" in {item.key for item in release.objects}


def test_a_page_names_its_editions_and_links_to_the_other(release: Release) -> None:
    for key, path in (("products/field-jacket", "/products/field-jacket"), ("index.html", "/")):
        german = "/de" if path == "/" else f"/de{path}"
        for html, canonical, other in (
            (page(release, key), path, german),
            (page(release, german[1:]), german, path),
        ):
            assert f'<link rel="canonical" href="{BASE}{canonical}">' in html
            assert re.findall(r'hreflang="([^"]*)" href="https://www.heron.example([^"]*)"', html) == [
                ("en-GB", path),
                ("de", german),
                ("x-default", path),
            ]
            assert f'<a href="{other}" lang="' in html
    assert '<a href="/waitlist/thanks" lang="en-GB" hreflang="en-GB">English</a>' in page(
        release, "de/waitlist/thanks"
    )
    assert 'href="/de" lang="de" hreflang="de">Deutsch</a>' in page(release, "404")


def test_the_sitemap_names_the_editions_of_every_page(release: Release) -> None:
    rows = re.findall("<url>.*</url>", page(release, "sitemap.xml"))
    assert len(rows) == len(set(rows)) == 2 * 7
    for row in rows:
        assert row.count("<xhtml:link") == 3


def test_a_page_speaks_its_language_and_the_first_where_it_has_no_words(release: Release) -> None:
    jacket, scarf = page(release, "de/products/field-jacket"), page(release, "de/products/scarf")
    assert '<html lang="de">' in jacket
    assert "<h1>Feldjacke</h1>" in jacket
    assert 'alt="Eine grüne Jacke"' in jacket
    assert "<i>Moos</i>" in jacket
    assert "Schiefer, M" in jacket
    assert "Sagt mir, wenn es wieder da ist" in jacket
    assert "Ab 148,00\xa0£" in jacket
    assert '<input type="hidden" name="page" value="/de/products/field-jacket">' in jacket
    assert "<h1>Wool Scarf</h1>" in scarf
    assert '<article class="words page">' in page(release, "de/privacy")
    assert '<article class="words page" lang="en-GB">' in page(release, "de/checkout")


def test_links_of_a_page_stay_in_its_language(release: Release) -> None:
    others = {"/", "/products/field-jacket", "/privacy", "/checkout", "/shop/all", "/404"}
    for item in release.objects:
        if item.language == "de":
            html = item.read().decode()
            found = set(re.findall(r'<a [^>]*href="(/[^"#?]*)"(?! lang)', html))
            assert not found & others, item.key
            assert all(link == "/de" or link.startswith("/de/") for link in found), item.key
    assert '<a href="/de/checkout">siehe Kasse</a>' in page(release, "de/privacy")
    assert 'class="button" href="/de/checkout?sku=' in page(release, "de/products/field-jacket")


def test_a_shop_of_one_locale_knows_nothing_of_others(small_release: Release) -> None:
    for item in small_release.objects:
        if item.content_type.startswith(("text/html", "application/xml")):
            assert b"hreflang" not in item.read(), item.key
            assert b'class="languages"' not in item.read(), item.key
    assert not any(item.key.startswith(("en", "de")) for item in small_release.objects)
    assert {item.language for item in small_release.objects} == {"en-GB", ""}


def test_the_theme_carries_every_edition_to_the_cloud(release: Release) -> None:
    theme = Theme.from_json(release.theme.to_json())
    assert theme == release.theme
    assert [(edition.root, edition.name, edition.shop.tagline) for edition in theme.editions] == [
        ("", "English", "Clothes for weather"),
        ("/de", "Deutsch", "Kleidung für Wetter"),
    ]
    assert Renderer(theme).for_root("/de").for_root("/fr").language == "en-GB"


@pytest.mark.parametrize(
    ("asked_on", "subject", "says", "looks_at"),
    [
        (
            "/products/field-jacket",
            "Field Jacket (Moss, M) is back",
            "Field Jacket is back.",
            f"{BASE}/products/{LINKED}",
        ),
        (
            "/de/products/field-jacket",
            "Wieder da: Feldjacke (Moos, M)",
            "Wieder da: Feldjacke.",
            f"{BASE}/de/products/{LINKED}",
        ),
        (
            "/fr/products/field-jacket",
            "Field Jacket (Moss, M) is back",
            "Field Jacket is back.",
            f"{BASE}/products/{LINKED}",
        ),
    ],
)
def test_emails_are_in_the_language_of_the_page_asked_on(
    release: Release, asked_on: str, subject: str, says: str, looks_at: str
) -> None:
    writer = EmailComposer(Renderer(release.theme), LinkTokens(["k"], lambda: 0))
    product = release.products.named("field-jacket").product
    stocked = StockedProduct(product, {"FJ-MOSS-M": Stock(Availability.IN_STOCK, 1, 1, "e")})
    waiting = [
        Entry(name, "FJ-MOSS-M", f"{name}@example.com", EntryState.CONFIRMED, 1, page=page)
        for name, page in (("ada", asked_on), ("ben", "/de/products/scarf"), ("cleo", asked_on))
    ]
    emails = writer.available(waiting, stocked)
    assert [email.mailbox for email in emails] == ["ada@example.com", "ben@example.com", "cleo@example.com"]
    for email in (emails[0], emails[2]):
        assert email.email.subject == subject
        assert says in email.email.text
        assert looks_at in email.email.text
        own = email.headers["List-Unsubscribe"].strip("<>")
        assert own in email.email.text
        assert own.replace("&", "&amp;") in email.email.html
        assert ("&lang=de" in own) is asked_on.startswith("/de")
    assert emails[1].email.subject == "Wieder da: Feldjacke (Moos, M)"
    assert len({email.headers["List-Unsubscribe"] for email in emails}) == 3


def test_a_path_says_which_language_it_is_of() -> None:
    assert root_of("/de/products/scarf") == "/de"
    assert root_of("/de-at/shop/all") == "/de-at"
    assert [
        root_of(path) for path in ("/", "/about", "/faq", "/products/de", "//evil.example/products/x")
    ] == [""] * 5
    assert requested_root_of("de-at") == "/de-at"
    assert [requested_root_of(slug) for slug in ("", "/evil", "..", "d", "x" * 30, "de/", "DE")] == [""] * 7


def test_a_number_takes_the_plural_of_its_language() -> None:
    polish = Texts(
        {"one": ("jeden", "kilka", "wiele")}, "n==1 ? 0 : n%10>=2 && n%10<=4 && (n<12 || n>14) ? 1 : 2"
    )
    assert [polish.of_number("one", "many", number) for number in (1, 3, 5, 13, 22)] == [
        *("jeden", "kilka", "wiele", "wiele", "kilka")
    ]
    assert [Texts().of_number("one", "many", number) for number in (0, 1, 2)] == ["many", "one", "many"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Neu bei %(nme)s", r"no %\(nme\)s"),
        ("Neu <b>bei</b> %(name)s", "without <b>"),
        ('Neu "bei" %(name)s', "other quotation marks"),
        ("100 % neu bei %(name)s", "%% for a per cent sign"),
        ("Neu bei %(nme)r", "%% for a per cent sign"),
        ("Neu bei %s", "%% for a per cent sign"),
        ("Neu < %(name)s", "&lt; for a sign"),
    ],
)
def test_a_translation_that_a_page_cannot_hold_is_a_mistake_with_its_line(said: str, expected: str) -> None:
    mistakes: list[Any] = []
    escaped = said.replace('"', '\\"')
    text = f'msgid "New at %(name)s"\nmsgstr "{escaped}"\n'
    assert read_texts(text, locale="de", file="site/locales/de.po", mistakes=mistakes).messages == {}
    assert (mistakes[0].file, mistakes[0].line) == ("site/locales/de.po", 1)
    assert re.search(expected, mistakes[0].expected)


@pytest.mark.parametrize("rule", ["n%0", "n", "some(n)"])
def test_a_rule_for_plurals_that_cannot_be_gone_by_is_a_mistake(rule: str) -> None:
    mistakes: list[InputError] = []
    text = f'msgid ""\nmsgstr ""\n"Plural-Forms: nplurals=2; plural={rule};\\n"\n'
    read_texts(text, locale="de", file="site/locales/de.po", mistakes=mistakes)
    assert [mistake.field for mistake in mistakes] == ["Plural-Forms"]


@pytest.mark.parametrize("forms", ["99999999", "7", "0", "INTEGER", ""])
def test_more_plurals_than_any_language_has_are_refused_before_room_is_made_for_them(forms: str) -> None:
    text = f'# nplurals=9\nmsgid ""\nmsgstr ""\n"Plural-Forms: nplurals={forms}; plural=0;\\n"\n'
    mistakes: list[InputError] = []
    assert read_texts(text, locale="de", file="site/locales/de.po", mistakes=mistakes).messages == {}
    line = f"site/locales/de.po:4: nplurals = '{forms}': expected a whole number from 1 to 6"
    assert [str(mistake) for mistake in mistakes] == [line]
    with pytest.raises(BadInput, match=re.escape(line)):
        update_catalogue(text, locale="de", templates={})


def test_a_head_that_cannot_be_read_is_a_mistake() -> None:
    mistakes: list[InputError] = []
    text = 'msgid ""\nmsgstr ""\n"PO-Revision-Date: some day\\n"\n'
    read_texts(text, locale="de", file="site/locales/de.po", mistakes=mistakes)
    assert [(mistake.field, mistake.expected) for mistake in mistakes] == [("head", "a gettext catalogue")]


def test_a_catalogue_is_utf_8_whatever_its_head_says() -> None:
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=klingon\\n"\n'
    text = head + '\nmsgid "Buy"\nmsgstr "Für dich"\n'
    texts = read_texts(text, locale="de", file="site/locales/de.po", mistakes=[])
    assert texts.one("Buy") == "Für dich"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """The same shop, to be edited."""
    return make_german_shop(tmp_path)


def test_the_build_names_missing_translations_and_shows_the_first_locale(shop: Project) -> None:
    product = own_file(shop, "templates/product.html")
    product.write_text(product.read_text().replace('_("Sold out")', '_("All gone")'))
    release = build(shop)
    first, *others = release.missing_translations
    assert re.fullmatch(r'site/locales/de\.po: no text for "All gone" \(templates/product\.html:\d+\)', first)
    assert others == [
        "site/pages/checkout.de.md: not there",
        "site/products/scarf.toml: no title in a table [de]",
    ]
    assert "All gone" in page(release, "de/products/field-jacket")


def test_a_shop_translates_again_what_it_wants_and_the_default_theme_the_rest(shop: Project) -> None:
    (shop.site / "locales").mkdir()
    own = 'msgid "Sold out"\nmsgstr "Leider weg"\n\nmsgid "Products"\nmsgstr ""\n'
    (shop.site / "locales" / "de.po").write_text(own)
    release = build(shop)
    assert not [line for line in release.missing_translations if line.startswith("site/locales")]
    texts = release.theme.editions[1].texts
    assert texts.one("Sold out") == "Leider weg"
    assert texts.one("Products") == "Produkte"
    assert "Leider weg" in page(release, "de/products/field-jacket")


def test_forms_of_a_plural_are_not_taken_from_a_file_with_another_rule() -> None:
    default = Texts({"hat": ("Hut", "Hüte"), "Buy": ("Kaufen",)}, "n != 1")
    own = Texts({"Sold": ("Weg",)}, "(n==1 ? 0 : n==2 ? 1 : 2)")
    merged = texts_over(own, default)
    assert merged == Texts({"Buy": ("Kaufen",), "Sold": ("Weg",)}, own.plurals)
    assert texts_over(replace(own, plurals="n != 1"), default).messages["hat"] == ("Hut", "Hüte")


def test_an_unchanged_build_names_missing_translations_again(shop: Project) -> None:
    files = [file for file in shop.site.rglob("*") if file.is_file()]
    until(
        lambda: all(is_settled(signature_of(file)) for file in files) or None,
        "every file is left alone for long enough to be known by its looks",
        within_s=10,
    )
    first, second = (CliRunner().invoke(cli, ["build"], obj=shop).output for _ in range(2))
    unchanged = build_what_changed(shop, shop.output / "site")
    missing = "site/pages/checkout.de.md: not there\nsite/products/scarf.toml: no title in a table [de]\n"
    assert missing == "".join(f"{line}\n" for line in unchanged.missing_translations)
    assert missing in first
    assert missing in second


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("site.toml", '"de"]', '"de", "xx"]', "locales = 'xx': expected a language"),
        ("site.toml", '"de"]', '"de", "DE"]', "locales = 'DE': expected each locale once"),
        ("site.toml", '"de"]', '"de", "DE-at"]', "locales = 'DE-at': expected de-AT"),
        ("site.toml", '"de"]', '"privacy"]', "locales = 'privacy'"),
        ("site.toml", "[de.categories.outerwear]", "[de.categories.coats]", "de.categories.coats = "),
        ("site.toml", 'tagline = "K', 'tagine = "K', "de.tagine = "),
        ("products/field-jacket.toml", '"jacket.webp" = "Eine', '"hat.webp" = "Eine', "de.alt.hat.webp"),
        ("pages/privacy.de.md", "", "", "site/pages/help.de.md: file name = 'help.de'"),
        ("locales/de.po", 'msgid "Sold out"', 'xmsgid "Sold out"', "expected a gettext catalogue"),
    ],
)
def test_mistakes_in_a_translation_are_reported_like_any_other(
    shop: Project, file: str, old: str, new: str, expected: str
) -> None:
    path = own_file(shop, file) if file.startswith("locales") else shop.site / file
    if not old:  # a page that its own language does not have
        path.rename(path.with_name("help.de.md"))
        path = path.with_name("help.de.md")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(shop)
    assert expected in caught.value.message


def test_a_locale_that_is_left_out_for_now_leaves_its_words_in_peace(shop: Project) -> None:
    site = shop.site / "site.toml"
    site.write_text(site.read_text().replace('["en-GB", "de"]', '["en-GB"]'))
    catalogue = load_catalogue(shop)
    assert [storefront.shop.locale for storefront in catalogue.storefronts] == ["en-GB"]
    assert not any(row.titles for row in catalogue.rows)


@pytest.mark.parametrize("name", ["DE", "De"])
def test_the_table_of_a_locale_in_another_spelling_is_a_mistake_with_the_right_one(
    shop: Project, name: str
) -> None:
    scarf = shop.site / "products/scarf.toml"
    scarf.write_text(f'{scarf.read_text()}\n[{name}]\ntitle = "Schal"\n')
    with pytest.raises(CatalogueInvalid) as refused:
        load_catalogue(shop)
    (mistake,) = refused.value.mistakes
    assert (mistake.field, mistake.expected) == (name, "a known field; did you mean de?")


def test_a_page_may_be_translated_for_a_region_with_a_number(shop: Project) -> None:
    site = shop.site / "site.toml"
    site.write_text(site.read_text().replace('["en-GB", "de"]', '["en-GB", "es-419"]'))
    text = '+++\ntitle = "Privacidad"\ndescription = "Corto."\n+++\nHola.\n'
    (shop.site / "pages/privacy.es-419.md").write_text(text)
    (shop.site / "pages/privacy.es-491.md").write_text(text)
    release = build(shop)
    assert "<h1>Privacidad</h1>" in page(release, "es-419/privacy")
    slip = "es-491 is not among the further locales of site/site.toml; did you mean es-419?"
    assert f"site/pages/privacy.es-491.md: ignored: {slip}" in release.notes


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbfmsgid "Menu"\nmsgstr "Speisen"\n', None),
        ('msgid "Menu"\nmsgstr "Menü"\n'.encode("cp1252"), "site/locales/de.po:2: file = 'msgstr \"Menü\"'"),
    ],
)
def test_a_catalogue_of_another_program_is_read_as_utf_8_or_refused_as_it_was(
    shop: Project, body: bytes, expected: str | None
) -> None:
    file = shop.site / "locales" / "de.po"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(body)
    result = CliRunner().invoke(cli, ["messages", "de"], obj=shop)
    if expected is None:
        assert result.exit_code == 0, result.output
        assert 'msgid "Menu"\nmsgstr "Speisen"\n' in file.read_text()
    else:
        assert isinstance(result.exception, BadInput)
        assert result.exception.message.startswith(expected)
        assert file.read_bytes() == body


def test_a_catalogue_is_updated_and_keeps_its_translations(shop: Project) -> None:
    def said() -> str:
        result = CliRunner().invoke(cli, ["messages", "de"], obj=shop)
        assert result.exit_code == 0, result.output
        return result.output

    catalogue = shop.site / "locales" / "de.po"
    assert said().endswith(" 0 of them to translate\n")
    before = catalogue.read_text()
    assert said().endswith(" 0 of them to translate\n")
    assert catalogue.read_text() == before
    doubted = '# of a shop\n#, fuzzy\nmsgid "Products"'
    catalogue.write_text(before.replace('msgid "Products"', doubted))
    said()
    assert doubted.partition("\n")[0] in catalogue.read_text()
    assert '#, fuzzy\nmsgid "Products"' in catalogue.read_text()
    catalogue.write_text(before.replace('msgstr "Ausverkauft"', 'msgstr ""'))
    assert said().endswith(" 0 of them to translate\n"), "the default theme knows it"
    assert catalogue.read_text() == before
    catalogue.write_text(before.replace('msgid "Products"', '#, fuzzy\nmsgid "Products"'))
    home = own_file(shop, "templates/home.html")
    home.write_text(home.read_text().replace('_("Browse")', '_("Look round")'))
    assert said().endswith(" 2 of them to translate\n")
    assert "Stöbern" not in catalogue.read_text()
    assert "Ausgewählt" in catalogue.read_text()


def test_a_text_that_gains_a_plural_keeps_its_translation_as_a_guess() -> None:
    rule = "nplurals=3; plural=(n==1 ? 0 : n==2 ? 1 : 2);"
    before = f"""msgid ""
msgstr ""
"Plural-Forms: {rule}\\n"

# of a shop
msgid "one hat"
msgstr "ein Hut"

msgid "gone"
msgstr "weg"
"""
    template = "{% trans count=n %}one hat{% pluralize %}{{ count }} hats{% endtrans %}{{ _('Buy') }}"

    made = update_catalogue(before, locale="de", templates={"hats.html": template})

    own = made.text.partition("#: chalicelib/")[0]
    assert (
        own.partition('Content-Transfer-Encoding: 8bit\\n"\n')[2]
        == """
# of a shop
#: templates/hats.html
#, fuzzy, python-format
msgid "one hat"
msgid_plural "%(count)s hats"
msgstr[0] "ein Hut"
msgstr[1] ""
msgstr[2] ""

#: templates/hats.html
msgid "Buy"
msgstr ""

"""
    )
    assert rule in own
    assert "gone" not in made.text
    assert made.missing == made.count


def msgids_found_by_babel() -> set[str]:
    """Return the message ids that Babel extracts from the default theme's templates, emails and code."""
    templates = {"extensions": "jinja2.ext.i18n", "trimmed": "true", "newstyle_gettext": "true"}
    found: set[str] = set()

    def take(folder: Path, methods: list[tuple[str, str]], keywords: dict[str, Any], options: Any) -> None:
        for _, _, message, _, _ in extract_from_dir(folder, methods, options, keywords):
            found.add(message if isinstance(message, str) else message[0])

    keywords: dict[str, Any] = {"_": None, "gettext": None, "ngettext": (1, 2)}
    for folder in ("templates", "emails"):
        take(DEFAULT_THEME / folder, [("**", "jinja2")], keywords, {"**": templates})
    http = ["request", "responses", "signup", "link_forms", "merchant_session", "merchant_actions"]
    code = [*(f"http/{name}" for name in http), "merchant_action_routes", "merchant_people_routes"]
    # One at a time: they stand within each other. `Fields` of the merchant's page adds errors, too.
    for calls in ({"FieldError": (2,)}, {"Problem": (2,)}, {"add": (2,), "text": (3,)}):
        for name in code:
            file = ROOT / "chalicelib" / f"{name}.py"
            take(file.parent, [(file.name, "python")], calls, {})
    counted = {"one": None, "of_number": (1, 2)}
    take(ROOT / "spillway" / "sitegen", [("listings.py", "python")], counted, {})
    return {text for text in found if text}


def test_a_catalogue_is_named_as_the_build_looks_for_it() -> None:
    with pytest.raises(BadInput, match="usually spelt zh-Hant"):
        update_catalogue("", locale="zh-hant", templates={})


@pytest.mark.parametrize("file", sorted((DEFAULT_THEME / "locales").glob("*.po")), ids=lambda file: file.stem)
def test_a_shipped_catalogue_has_every_text_and_none_that_is_stale(file: Path) -> None:
    with file.open("rb") as opened:
        catalogue = read_po(opened, abort_invalid=True)
    said = {
        message.id if isinstance(message.id, str) else message.id[0]: message
        for message in catalogue
        if message.id
    }
    assert said.keys() == msgids_found_by_babel()
    assert not [text for text, message in said.items() if message.fuzzy or not all(message.string or [""])]
    assert not catalogue.obsolete


@pytest.mark.parametrize("file", sorted((DEFAULT_THEME / "locales").glob("*.po")), ids=lambda file: file.stem)
def test_a_shipped_catalogue_is_the_one_that_the_command_writes(file: Path) -> None:
    shipped = file.read_text(encoding="utf-8")
    made = update_catalogue(shipped, locale=file.stem, templates=ThemeFiles(own=None).texts())
    assert made.text == shipped
