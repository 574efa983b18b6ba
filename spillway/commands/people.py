"""Shared by the commands about people: read an address, log the access, print lines with their sources."""

import secrets
import shutil
import sys
import textwrap
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import click

from chalicelib.domain.address import Address, AddressRefused
from spillway.errors import BadInput
from spillway.importing.table import read_bytes
from spillway.stage import Stage
from spillway.waitlist.access_log import AccessLog
from spillway.waitlist.reasons import Line, when

WIDTH_MAX = 120
TIME_WIDTH = len("2026-05-17 09:30:00Z") + 2


def read_address(text: str) -> Address:
    """Return the address that was typed; `-` reads it from standard input, so that no shell remembers it.

    Raises:
        BadInput: it is no address.
    """
    if text == "-":
        text = sys.stdin.readline()
    try:
        return Address.parse(text.strip())
    except AddressRefused as refused:
        raise BadInput(f"address {text.strip()!r}: {refused.reason}") from None


def access_log(stage: Stage) -> AccessLog:
    """Return the log of access of a stage, for the caller that AWS knows.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html takes no permission.
    """
    operator = stage.client("sts").get_caller_identity()["Arn"]
    names = stage.outputs()
    return AccessLog(stage.client("dynamodb"), names["SendingTable"], operator, lambda: secrets.token_hex(4))


def digest_of(file: Path) -> str:
    """Return a file's digest, which stands for it in the log and in proofs of consent.

    Raises:
        BadInput: it cannot be read.
    """
    return sha256(read_bytes(file)).hexdigest()


def show_lines(lines: Iterable[Line], *, indent: str = "") -> None:
    """Print facts by time, each with the row it stands in, for the width of the terminal."""
    width = min(WIDTH_MAX, shutil.get_terminal_size().columns) - len(indent) - TIME_WIDTH
    for line in lines:
        time = "now" if line.at_ms is None else when(line.at_ms)
        shown = textwrap.wrap(line.text, width) or [""]
        source = textwrap.wrap(line.source, width, break_on_hyphens=False)
        for number, part in enumerate(shown):
            click.echo(f"{indent}{'' if number else time:<{TIME_WIDTH}}{part}")
        for part in source:
            click.echo(f"{indent}{'':<{TIME_WIDTH}}{click.style(part, dim=True)}")


def show_sentence(sentence: str) -> None:
    """Print a verdict for the width of the terminal."""
    click.echo(textwrap.fill(sentence, min(WIDTH_MAX, shutil.get_terminal_size().columns)))
