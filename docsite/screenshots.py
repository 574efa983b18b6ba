"""Photograph the sample shop for the docs: `make screenshots`.

A demo runs in a temporary folder. A shopper signs up for a sold-out variant, confirms, and gets the email
when it is back. Each page on the way is photographed on a phone and on a desk, light and dark.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click
import httpx
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, sync_playwright

from chalicelib.domain.stock import Availability
from chalicelib.tables.demand import home_part
from chalicelib.tables.table import Update
from spillway.local_cloud.shopper import Shopper
from spillway.project import Project
from spillway.stage import stage_named

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The demo's files; `spillway` itself is the installed one.
COPIED = ("app.py", "chalicelib", "requirements.txt", "site", ".chalice/config.json", ".chalice/resources")
OPEN = "Ctrl-C stops everything"
OPEN_WITHIN_S = 300
END_WITHIN_S = 60
TOTAL_BYTES_MAX = 1_000_000
QUALITY = 66

SLUG, SKU = "field-jacket", "FJ-INK-L"
MAILBOX = "ada@example.com"
PAGE = f"/products/{SLUG}?sku={SKU}"
# The ways to wait for the variant, and to buy it.
FIELD = "form[action*='/api/waitlist'] input[type=email]"
BUY = ".picker a.button"
SCHEMES = ("light", "dark")
# The logo and the pictures of docs/themes.md.
LOGO = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 180 40">
<circle cx="20" cy="20" r="16" fill="{disc}"/>
<path d="M11 22q4.500-6 9 0t9 0" fill="none" stroke="{wave}" stroke-width="3"/>
<g font-family="Verdana,sans-serif" font-size="20" font-weight="700" fill="{text}">
<text x="46" y="27">Ordinary</text></g></svg>
"""
LOGOS = {
    "logo.svg": LOGO.format(disc="#0b3fd6", wave="#ffffff", text="#14213d"),
    "logo-dark.svg": LOGO.format(disc="#8fb0ff", wave="#14213d", text="#eef2ff"),
}
THEME_SETTINGS = re.compile(r"^\[theme\]\n(?:\w.*\n)+", re.MULTILINE)
THEMED = "http://themed.example"
THEMED_PICTURES = ("themed-desk-light", "themed-phone-dark")
# Scrolls only as far as the element is out of sight, and a little further.
INTO_VIEW = """element => {
    const box = element.getBoundingClientRect(), room = 120;
    if (box.bottom + room > innerHeight) scrollBy(0, box.bottom + room - innerHeight);
}"""


class Device(NamedTuple):
    """A screen in CSS pixels, and how many pixels of it a picture has for each."""

    name: str
    width: int
    height: int
    scale: float
    is_mobile: bool


PHONE = Device("phone", 390, 780, 1.5, is_mobile=True)
DESK = Device("desk", 1280, 800, 1, is_mobile=False)
DEVICES = (PHONE, DESK)
# The sample shop's sender may sign in to the demo's merchant page.
MERCHANT, MERCHANT_PAGE = "hello@ordinaryweather.example", "/merchant/"
MERCHANT_PICTURES = {"merchant-desk-light": (DESK, "light"), "merchant-phone-dark": (PHONE, "dark")}
WAITLISTS, PEOPLE = 8, 240


class Camera:
    """Windows of the shop for each device and colour scheme, and the pictures of their pages."""

    def __init__(self, browser: Browser, shop_url: str) -> None:
        self._windows: dict[tuple[Device, str], BrowserContext] = {
            (device, scheme): browser.new_context(
                base_url=shop_url,
                locale="en-GB",
                color_scheme="dark" if scheme == "dark" else "light",
                viewport={"width": device.width, "height": device.height},
                device_scale_factor=device.scale,
                is_mobile=device.is_mobile,
                has_touch=device.is_mobile,
                reduced_motion="reduce",
            )
            for device in DEVICES
            for scheme in SCHEMES
        }
        self.taken: dict[str, bytes] = {}

    def shoot(self, scene: str, path: str, *, shows: str | None = None) -> None:
        """Photograph the page at `path` in every window, with the element `shows` in view."""
        for (device, scheme), window in self._windows.items():
            page = window.new_page()
            page.goto(path, wait_until="networkidle")
            if shows:
                _seen(page, shows).evaluate(INTO_VIEW)
            self.keep(f"{scene}-{device.name}-{scheme}", page)
            page.close()

    def keep(self, name: str, page: Page) -> None:
        """Keep the part of a page that its window shows."""
        self.taken[name] = page.screenshot(animations="disabled")

    def serve(self, site: Path) -> None:
        """Answer every request of the windows with a file of a built site."""

        def answer(route: Route) -> None:
            file = site / (urlsplit(route.request.url).path.strip("/") or "index.html")
            route.fulfill(path=file, content_type=None if file.suffix else "text/html; charset=utf-8")

        for window in self._windows.values():
            window.route("**/*", answer)

    def sign_up(self) -> None:
        """Sign up for the sold-out variant in every window, and photograph the answer."""
        for (device, scheme), window in self._windows.items():
            page = window.new_page()
            page.goto(PAGE, wait_until="networkidle")
            field = _seen(page, FIELD)
            field.fill(MAILBOX)
            field.press("Enter")
            page.get_by_text(MAILBOX).first.wait_for()
            self.keep(f"signed-up-{device.name}-{scheme}", page)
            page.close()

    def sign_in(self, merchant: Shopper) -> None:
        """Sign the merchant in, in the windows of the merchant's pictures, each by an email of its own."""
        for number, window in enumerate(map(self._windows.get, MERCHANT_PICTURES.values()), start=1):
            assert window is not None
            page = window.new_page()
            page.goto(MERCHANT_PAGE)
            page.locator("#merchant-email").fill(MERCHANT)
            page.locator("#sign-in button").click()
            page.goto(merchant.awaits_emails(number)[-1].link("/api/merchant/sign-in"))
            page.get_by_role("main").get_by_role("button").click()
            page.locator("#overview").wait_for()
            page.close()

    def shoot_merchant(self) -> None:
        """Photograph the merchant's page while a restock is being emailed."""
        for name, window in MERCHANT_PICTURES.items():
            page = self._windows[window].new_page()
            page.goto(MERCHANT_PAGE)
            page.locator(".waves li").first.wait_for(timeout=OPEN_WITHIN_S * 1000)
            page.wait_for_load_state("networkidle")
            self.keep(name, page)
            page.close()


def _fill_waitlists(folder: Path) -> None:
    """Have some hundred people wait for what is sold out, and restock the variant that most of them want."""
    tables = stage_named(Project(folder), "local").container()
    sold_out = sorted(
        sku
        for stocked in tables.products.scan()
        for sku in stocked.product.skus
        if stocked.stock[sku].availability is Availability.OUT_OF_STOCK
    )
    people = folder / "people.csv"
    hour_s, now_s = 3600, int(time.time())
    with people.open("w", encoding="utf-8") as file:
        file.write("email,sku,time,consent\n")
        for place, sku in enumerate(sold_out[:WAITLISTS]):
            for number in range(PEOPLE // (place + 1)):
                at = datetime.fromtimestamp(now_s - number * (place + 2) * hour_s // 3, UTC).isoformat()
                file.write(f"p{place}.{number}@example.com,{sku},{at},yes\n")
    # A day of signups, which the counters of the demo cannot have in a minute.
    this_hour = now_s // hour_s
    for place, sku in enumerate(sold_out[:WAITLISTS]):
        signups = {f"h{this_hour - ago}": (24 - ago) * (ago % 3 + 1) // (place + 1) for ago in range(24)}
        key = {"part": home_part(sku), "sku": sku}
        tables.demand.table.make(Update(tables.demand.table, key, add=signups))
    waitlist = ["waitlist", "import", str(people), "--consent-text", "Email me", "--next-restock"]
    for words in (waitlist, ["available", sold_out[0], "--stock", "60"]):
        subprocess.run(
            [sys.executable, "-m", "spillway", *words], cwd=folder, check=True, capture_output=True
        )


def _seen(page: Page, selector: str) -> Locator:
    """Return the first element that a person sees."""
    return page.locator(selector).locator("visible=true").first


@contextmanager
def demo(port: int) -> Iterator[Path]:
    """Run a demo in a temporary folder; yield the folder."""
    with tempfile.TemporaryDirectory() as folder:
        _copy(Path(folder))
        printed = Path(folder) / "printed.txt"
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "spillway", "demo", "--port", str(port)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            ends_at = time.monotonic() + OPEN_WITHIN_S
            while OPEN not in printed.read_text():
                if process.poll() is not None or time.monotonic() > ends_at:
                    raise click.ClickException(f"the demo did not start:\n{printed.read_text()}")
                time.sleep(0.2)
            yield Path(folder)
        finally:
            process.terminate()
            process.wait(END_WITHIN_S)


def _copy(folder: Path) -> None:
    for name in COPIED:
        source, copy = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def photograph(port: int, executable: str) -> dict[str, Image.Image]:
    """Play the story at `port` and the ports after it; return the pictures by name."""
    shop_url, inbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
    with demo(port) as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        camera = Camera(browser, shop_url)
        with (
            httpx.Client(base_url=shop_url, trust_env=False, timeout=60) as shop,
            httpx.Client(base_url=inbox_url, trust_env=False, timeout=60) as inbox,
        ):
            ada = Shopper("Ada", MAILBOX, shop, inbox)
            camera.shoot("home", "/")
            camera.shoot("category", "/shop/outerwear")
            camera.shoot("sold-out", PAGE, shows=FIELD)
            camera.sign_up()
            (asked,) = ada.awaits_emails(1)
            ada.presses(ada.opens(asked.link("/api/confirm")))
            available = [sys.executable, "-m", "spillway", "available", SKU, "--stock", "5"]
            subprocess.run(available, cwd=folder, check=True, capture_output=True)
            _, back = ada.awaits_emails(2)
            camera.shoot("email", f"{inbox_url}/emails/{back.number}/body.html")
            camera.shoot("in-stock", PAGE, shows=BUY)
            camera.sign_in(Shopper("", MERCHANT, shop, inbox))
            _fill_waitlists(folder)
            camera.shoot_merchant()
        browser.close()
    return {name: Image.open(BytesIO(data)).convert("RGB") for name, data in camera.taken.items()}


def photograph_themed(executable: str) -> dict[str, Image.Image]:
    """Return pictures of the sample shop with the settings that docs/themes.md begins with."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        _copy(folder)
        static = folder / "site" / "static"
        static.mkdir(exist_ok=True)
        for name, logo in LOGOS.items():
            (static / name).write_text(logo, encoding="utf-8")
        settings = THEME_SETTINGS.findall((ROOT / "docs" / "themes.md").read_text(encoding="utf-8"))[0]
        site_file = folder / "site" / "site.toml"
        text = site_file.read_text(encoding="utf-8")
        site_file.write_text(text.replace("[home]\n", f"{settings}\n[home]\n", 1), encoding="utf-8")
        build = [sys.executable, "-m", "spillway", "build"]
        subprocess.run(build, cwd=folder, check=True, capture_output=True)
        browser = playwright.chromium.launch(executable_path=executable)
        camera = Camera(browser, THEMED)
        camera.serve(folder / "build" / "site")
        camera.shoot("themed", "/")
        browser.close()
    return {name: Image.open(BytesIO(camera.taken[name])).convert("RGB") for name in THEMED_PICTURES}


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return the pictures beside each other, with round corners, on a grey background."""
    gap, radius, ground = 40, 28, "#dfe3e0"
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) + 1)
    sheet = Image.new("RGB", (width, max(picture.height for picture in pictures) + 2 * gap), ground)
    left = gap
    for picture in pictures:
        corners = Image.new("L", picture.size, 0)
        ImageDraw.Draw(corners).rounded_rectangle((0, 0, *picture.size), radius, fill=255)
        sheet.paste(picture, (left, gap), corners)
        left += picture.width + gap
    return sheet


def write(pictures: Mapping[str, Image.Image], folder: Path) -> int:
    """Write the pictures as WebP files into a folder that holds nothing else; return their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.stem not in pictures:
            old.unlink()
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.webp", quality=QUALITY, method=6)
    return sum(file.stat().st_size for file in folder.iterdir())


@click.command("screenshots")
@click.option("--port", default=24_000, show_default=True, help="The demo's first port of three.")
def screenshots(port: int) -> None:
    """Photograph the sample shop for docs/images."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        raise click.ClickException(f"no browser is installed: none of {', '.join(CHROMIUM)} was found")
    pictures = photograph(port, executable) | photograph_themed(executable)
    turning = [pictures[f"{scene}-phone-light"] for scene in ("home", "sold-out", "in-stock")]
    pictures["shop"] = side_by_side(turning)
    total_bytes = write(pictures, IMAGES)
    click.echo(f"{len(pictures)} pictures, {total_bytes / 1000:,.0f} kB in {IMAGES.relative_to(ROOT)}")
    if total_bytes > TOTAL_BYTES_MAX:
        raise click.ClickException(f"more than {TOTAL_BYTES_MAX / 1000:,.0f} kB: lower QUALITY")


if __name__ == "__main__":
    screenshots()
