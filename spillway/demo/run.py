"""A demo from its start to its end, told to the person at the terminal."""

import shutil

from rich.console import Console
from rich.markup import escape

from spillway.demo.check import check_story
from spillway.demo.demo import DemoSettings, RunningDemo, running_demo
from spillway.demo.steps import Steps
from spillway.demo.stock import sold_out
from spillway.merchant.skus import typed
from spillway.project import Project


def perform(project: Project, settings: DemoSettings, *, check: bool) -> None:
    """Open the shop; then play the story and close, or stay open until somebody interrupts.

    Raises:
        BadInput: a port is taken, a demo runs already, or the catalogue is wrong.
        WorkFailed: something did not come up, or the story did not go as it must.
    """
    console = Console(highlight=False, soft_wrap=True)
    steps = Steps(console)
    with running_demo(project, settings, steps) as shop:
        if check:
            check_story(shop, project, steps)
            return
        console.print(_welcome(shop))
        shop.cloud.wait()


def _welcome(shop: RunningDemo) -> str:
    addresses = f"\n  The shop   {shop.settings.shop_url}/\n  The inbox  {shop.settings.inbox_url}/\n"
    awaited = next(iter(sold_out(shop.stage)), None)
    spillway = "spillway" if shutil.which("spillway") else ".venv/bin/spillway"
    next_steps = (
        f"\n  Ask to be told at {shop.settings.shop_url}{awaited.path}, confirm in the inbox, then say:\n"
        f"\n      {spillway} {escape(typed('available', awaited.sku, '--stock', '5'))}\n"
        if awaited
        else ""
    )
    return f"{addresses}{next_steps}\n  Ctrl-C stops everything and keeps the state."
