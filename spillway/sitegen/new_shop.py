"""Start a shop: write the files of a new one, with example products or imported ones, and nothing half.

The files are in spillway/starter/, in a folder for each language. A shop in any other language starts with
the English files, which say so. They mark each place that only the shop's owner can fill in; notes.py finds
them.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.locales import money_format, usual_spelling
from spillway.sitegen.reading.shop_settings import NAME_LENGTH_MAX
from spillway.sitegen.reading.slugs import base_slug
from spillway.sitegen.reading.toml_input import text_problem

STARTER = Path(__file__).parents[1] / "starter"
# The currency of a language without a country.
_CURRENCIES = {"en": "USD", "de": "EUR"}
_ANY_CURRENCY = "EUR"
_HOST_LENGTH_MAX = 40
_ENGLISH = "en"
# Beside these, a folder is as good as empty: of file managers, and of an empty repository.
_NO_CONTENT = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".git"})
# The category of the examples, by the languages of spillway/starter/: its slug and its title.
_CATEGORIES = {_ENGLISH: ("homeware", "Homeware"), "de": ("wohnen", "Wohnen")}
_NAVIGATION = {_ENGLISH: ("Shipping and returns", "Privacy"), "de": ("Versand und Rückgabe", "Datenschutz")}
# Prices of the examples; a currency without a smaller unit gets a hundred times as much.
_PRICES = {"price_1": 18, "price_2": 28, "price_3": 48, "price_4": 62}


@dataclass(frozen=True, slots=True)
class ShopChoices:
    """The choices of a new shop's owner: its name, an ISO 4217 currency, and a locale such as en-GB."""

    name: str
    currency: str
    locale: str

    @classmethod
    def checked(cls, name: str, currency: str, locale: str) -> "ShopChoices":
        """Return the choices if a shop can have them.

        Raises:
            BadInput: one of them is not valid; it names the option.
        """
        locale = checked_locale(locale)
        return cls(checked_name(name), checked_currency(currency, locale=locale), locale)

    @property
    def language(self) -> str:
        """The language of the locale: "en" of en-GB."""
        return self.locale.partition("-")[0]

    @property
    def starter_language(self) -> str:
        """The language of the examples, the pages and the README that the shop gets."""
        return self.language if self.language in _CATEGORIES else _ENGLISH

    @property
    def language_without_starter(self) -> str | None:
        """The English name of the shop's language if its examples and pages are in English instead."""
        from babel import Locale

        if self.starter_language == self.language:
            return None
        return Locale.parse(self.locale, sep="-").get_language_name(_ENGLISH) or self.language


def checked_name(name: str) -> str:
    """Return the name if a shop can have it.

    Raises:
        BadInput: it cannot.
    """
    if expected := text_problem(name, length_max=NAME_LENGTH_MAX):
        raise BadInput(f"--name {name!r}: expected {expected}", hint='--name "Harbour Pottery"')
    return name


def checked_locale(locale: str) -> str:
    """Return the locale in its usual spelling.

    Raises:
        BadInput: it is not known.
    """
    try:
        usual = usual_spelling(locale.replace("_", "-"))
        money_format("EUR", usual)
    except ValueError as error:
        raise BadInput(f"--language {locale}: not known", hint="--language en-GB") from error
    return usual


def checked_currency(currency: str, *, locale: str) -> str:
    """Return the currency's code in capitals; `locale` is known.

    Raises:
        BadInput: there is no such currency.
    """
    try:
        money_format(currency.upper(), locale)
    except ValueError as error:
        raise BadInput(
            f"--currency {currency}: expected an ISO 4217 code", hint="--currency GBP, EUR, USD"
        ) from error
    return currency.upper()


def currency_of(locale: str) -> str:
    """Return the currency that is paid with where `locale` is spoken."""
    from babel import Locale, UnknownLocaleError
    from babel.numbers import get_territory_currencies

    try:
        territory = Locale.parse(locale, sep="-").territory
    except (UnknownLocaleError, ValueError):
        territory = None
    found = get_territory_currencies(territory) if territory else []
    return found[-1] if found else _CURRENCIES.get(locale.partition("-")[0], _ANY_CURRENCY)


def create_shop(
    folder: Path, choices: ShopChoices, *, fill: Callable[[Project], None] | None = None, git: bool = True
) -> None:
    """Write a new shop to `folder`, or write nothing.

    Args:
        folder: where the shop belongs; it does not exist, or is empty but for `_NO_CONTENT`.
        choices: what its owner chose.
        fill: writes its products into the shop that it is given; without it, the shop has examples.
        git: make it a repository, unless git is missing or the folder lies in a repository.

    Raises:
        BadInput: there is something in the folder, it cannot be written, `fill` refuses, or the shop has
            mistakes.
    """
    folder = folder.absolute()
    _require_empty(folder)
    try:
        is_there = folder.is_dir()
        folder.parent.mkdir(parents=True, exist_ok=True)
        within = folder if is_there else folder.parent
        with tempfile.TemporaryDirectory(prefix=".spillway-new-", dir=within) as temporary:
            staged = Path(temporary) / "shop"
            staged.mkdir()
            _write(staged, choices, examples=fill is None)
            if fill:
                fill(Project(staged))
            load_catalogue(Project(staged))
            if git:
                _init_repository(staged, within)
            if is_there:
                # The folder itself stays: a terminal may be in it.
                for file in staged.iterdir():
                    file.rename(folder / file.name)
            else:
                staged.rename(folder)
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}", hint="name another folder") from error


def _require_empty(folder: Path) -> None:
    if folder.is_dir() and all(file.name in _NO_CONTENT for file in folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise BadInput(
            f"{folder}: there is something already; nothing was written",
            hint="name a folder that does not exist, or an empty one",
        )


def _write(root: Path, choices: ShopChoices, *, examples: bool) -> None:
    host = base_slug(choices.name, length_max=_HOST_LENGTH_MAX)
    language = choices.starter_language
    shipping, privacy = _NAVIGATION[language]
    missing = choices.language_without_starter
    settings = {
        "name": _toml(choices.name),
        "base_url": _toml(f"https://www.{host}.example"),
        "currency": _toml(choices.currency),
        "locale": _toml(choices.locale),
        "sender": _toml(f"{_display_name(choices.name)} <hello@{host}.example>"),
        "shipping": _toml(shipping),
        "privacy": _toml(privacy),
    }
    _put(root / "site" / "site.toml", f"{language}/site.toml", settings)
    # Inside a text of TOML: its quotation marks stay as they are.
    name = json.dumps(choices.name, ensure_ascii=False)[1:-1]
    to_translate = f"\n[FILL IN: this page in {missing}]\n" if missing else ""
    for page in sorted((STARTER / language / "pages").glob("*.md")):
        values = {"name": name, "translate": to_translate}
        _put(root / "site" / "pages" / page.name, f"{language}/pages/{page.name}", values)
    note = f"This file, the pages and the examples are in English: there are none in {missing} yet.\n\n"
    values = {"name": choices.name, "translate": note if missing else ""}
    _put(root / "README.md", f"{language}/README.md", values)
    shutil.copyfile(STARTER / language / "rules.toml", root / "site" / "rules.toml")
    shutil.copyfile(STARTER / "gitignore.txt", root / ".gitignore")
    for part in ("products", "pictures"):
        (root / "site" / part).mkdir()
    if examples:
        _write_examples(root / "site", choices)


def _write_examples(site: Path, choices: ShopChoices) -> None:
    digits = money_format(choices.currency, choices.locale).fraction_digits
    scale = 1 if digits else 100
    values = {name: f"{amount * scale:.{digits}f}" for name, amount in _PRICES.items()}
    slug, title = _CATEGORIES[choices.starter_language]
    with (site / "site.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[[categories]]\nslug = {_toml(slug)}\ntitle = {_toml(title)}\n")
    products = f"{choices.starter_language}/products"
    for product in sorted((STARTER / products).glob("*.toml")):
        _put(site / "products" / product.name, f"{products}/{product.name}", values | {"category": slug})
    for picture in sorted((STARTER / "pictures").iterdir()):
        shutil.copyfile(picture, site / "pictures" / picture.name)


def _put(file: Path, starter: str, values: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = (STARTER / starter).read_text(encoding="utf-8")
    file.write_text(Template(text).substitute(values), encoding="utf-8")


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _display_name(name: str) -> str:
    """Return the name as RFC 5322 writes it before an address."""
    plain = all(character.isalnum() or character in " -'&" for character in name)
    return name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _init_repository(root: Path, around: Path) -> None:
    git = shutil.which("git")
    if git is None:
        return
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def succeeds(*words: str) -> bool:
        ran = subprocess.run([git, *words], capture_output=True, check=False, env=kept)  # noqa: S603 - no shell
        return ran.returncode == 0

    if not succeeds("-C", str(around), "rev-parse", "--is-inside-work-tree"):
        succeeds("init", "--quiet", str(root))
