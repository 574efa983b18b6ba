"""Make the shop: `spillway build`, `serve`, `demo` and `messages`."""

import os
import re
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from spillway.commands.options import WholeNumber, quiet_option, show_left_out, skip_broken_pictures_option
from spillway.errors import BadInput
from spillway.local_cloud import LAMBDA_INVOCATIONS_MAX
from spillway.project import Project
from spillway.sitegen.cache import ended_sales, late_launches
from spillway.sitegen.incremental import build_what_changed
from spillway.terminal import StopRequested, interruptible, pluralize

if TYPE_CHECKING:
    from spillway.local_cloud.demo import DemoSettings, RunningDemo
    from spillway.sitegen.reading.toml_input import InputError

PORT_MAX = 65_535 - 2
# The form of a locale; reading its texts finds out whether the language exists.
LOCALE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.ASCII | re.IGNORECASE)


@click.command("build")
@click.option("--base-url", metavar="URL", help="Build for this address instead of base_url in site.toml.")
@skip_broken_pictures_option
@quiet_option
@click.pass_obj
def build_command(project: Project, base_url: str | None, *, skip_broken_pictures: bool, quiet: bool) -> None:
    """Build every page, picture and asset of the shop.

    Unchanged files are not built again. Errors in the catalogue are listed all at once, and the last good
    output stays.

    \b
    Example:
      spillway build --base-url https://www.shop.example

    Exit status: 0 when the shop was built, also when --skip-broken-pictures left pictures out; 2 when the
    catalogue has errors.
    """
    started = time.perf_counter()
    folder = project.output / "site"
    report = build_what_changed(project, folder, base_url=base_url, skip_broken_pictures=skip_broken_pictures)
    now = datetime.now(UTC)
    for line in (
        *report.missing_translations,
        *ended_sales(report.sales, today=now.date().isoformat()),
        *late_launches(report.launches, at_ms=int(now.timestamp() * 1000)),
    ):
        click.echo(line, err=True)
    if not quiet:
        click.echo(f"{report.summary} in {time.perf_counter() - started:.1f} s")
        click.echo(f"  {folder.relative_to(project.root)}/")
    show_left_out(report.left_out)


@click.command("serve")
@click.option(
    "--port", type=WholeNumber(1024, 65_535), default=8080, show_default=True, help="The port to serve at."
)
@click.option("--emails", "emails", is_flag=True, help="Show the emails: every one in every language.")
@click.pass_obj
def serve_command(project: Project, port: int, *, emails: bool) -> None:
    """Serve the pages on this machine and reload them on change.

    Mistakes are shown in place of the page, with their lines. Forms do nothing: `spillway demo` has a
    waitlist.

    \b
    Examples:
      spillway serve --port 8080
      spillway serve --emails
    """
    # Imported here: the other commands do not wait for a web server.
    from chalicelib.settings import clock_ms
    from spillway.local_cloud import processes
    from spillway.local_cloud.servers import BrowserGuard, hosts_of, served
    from spillway.merchant.email_pages import EMAILS_PATH, EmailPages
    from spillway.sitegen.preview import PreviewedShop

    url = f"http://{processes.HOST}:{port}"
    preview = PreviewedShop(project, base_url=url)
    with processes.claim_port(port, "the pages") as claimed:
        preview.rebuild_if_changed()
        if preview.error:
            click.echo(preview.error.message)
        app = preview.app(*EmailPages(preview, clock_ms).routes())
        with served(BrowserGuard(hosts_of(port)).around(app), claimed):
            click.echo(f"{url}{EMAILS_PATH if emails else '/'}  (Ctrl-C ends it)")
            try:
                preview.watch(threading.Event())
            except KeyboardInterrupt:
                click.echo()


@click.command("demo")
@click.option(
    "--port",
    type=WholeNumber(1024, PORT_MAX),
    default=8000,
    show_default=True,
    help="The shop's port; the inbox and the local cloud use the next two.",
)
@click.option("--fresh", is_flag=True, help="Delete the state of earlier demos.")
@click.option("--check", is_flag=True, help="Play the whole story once, and end.")
@click.option(
    "--invocations-max",
    type=WholeNumber(min=1),
    default=LAMBDA_INVOCATIONS_MAX,
    show_default=True,
    help="Runs of a function in one chain of requests before Lambda stops it.",
)
@click.option(
    "--lenient", is_flag=True, help="Accept requests that AWS would refuse: to measure, or to find out why."
)
@click.pass_obj
def demo_command(
    project: Project, port: int, invocations_max: int, *, fresh: bool, check: bool, lenient: bool
) -> None:
    """Run the whole shop on this machine.

    It needs no AWS account and no Docker; emails go to an inbox on this machine.

    \b
    Examples:
      spillway demo
      spillway demo --check --fresh
    """
    try:
        with interruptible():
            # Imported here: Ctrl-C works while it loads, which takes a moment.
            from spillway.local_cloud.demo import DemoSettings

            _run_demo(project, DemoSettings(port, fresh, not lenient, invocations_max), check=check)
    except StopRequested as stop:
        click.echo("\nStopped. The state is kept for the next start.")
        sys.exit(stop.exit_code)


def _run_demo(project: Project, settings: "DemoSettings", *, check: bool) -> None:
    """Open the shop; then play the story and close, or stay open until somebody stops it.

    Raises:
        BadInput: A port is taken, a demo is already running, or the catalogue has errors.
        WorkFailed: Something did not start, or the story failed.
    """
    from rich.console import Console

    from spillway.local_cloud.demo import running_demo
    from spillway.local_cloud.story import check_story
    from spillway.terminal import Steps

    console = Console(highlight=False, soft_wrap=True)
    steps = Steps(console)
    with running_demo(project, settings, steps) as shop:
        if check:
            check_story(shop, project, steps)
            return
        console.print(_welcome(shop))
        shop.cloud.wait()


def _welcome(shop: "RunningDemo") -> str:
    from rich.markup import escape

    from spillway.local_cloud.story import sold_out
    from spillway.merchant.stock_import import typed

    addresses = (
        f"\n  The shop      {shop.settings.shop_url}/"
        f"\n  The inbox     {shop.settings.inbox_url}/"
        f"\n  The merchant  {shop.settings.shop_url}/merchant/"
        f"\n                (sign in as {escape(shop.merchant)}; the link comes to the inbox)\n"
    )
    awaited = next(iter(sold_out(shop.stage)), None)
    next_steps = (
        f"\n  Sign up at {shop.settings.shop_url}{awaited.path}, confirm in the inbox, then type:\n"
        f"\n      spillway {escape(typed('available', awaited.sku, '--stock', '5'))}\n"
        if awaited
        else ""
    )
    return f"{addresses}{next_steps}\n  Ctrl-C stops everything and keeps the state."


@click.command("messages")
@click.argument("locale")
@click.pass_obj
def messages_command(project: Project, locale: str) -> None:
    """Write the shop's texts to a file for translators.

    The file is site/locales/LOCALE.po, with each text that templates, emails and the API show to shoppers.
    Existing translations stay, the default theme's fill in where there are none, and texts that are no longer
    used are removed.

    \b
    Example:
      spillway messages de
    """
    if not LOCALE.fullmatch(locale):
        raise BadInput(f"{locale!r}: not a locale", hint="name a language, as in site.toml: de, de-AT")
    from spillway.sitegen.reading.text_file import text_of_file
    from spillway.sitegen.theme_files import ThemeFiles
    from spillway.sitegen.translations import default_texts, update_catalogue

    name = f"site/locales/{locale}.po"
    file = project.root / name
    mistakes: list[InputError] = []
    before = text_of_file(project.root, name, mistakes) if os.path.lexists(file) else ""
    if before is None:
        raise BadInput(str(mistakes[0]), hint="correct it, or delete the file")
    known = default_texts(project.default_theme, locale)
    templates = ThemeFiles.of(project).texts()
    made = update_catalogue(before, locale=locale, templates=templates, known=known)
    file.parent.mkdir(exist_ok=True)
    file.write_text(made.text, encoding="utf-8")
    texts = pluralize(made.count, "text")
    click.echo(f"{name}: {texts}, {made.missing:,} of them to translate")
