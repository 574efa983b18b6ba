"""Options and parameter types that several commands share."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from spillway.errors import BadInput
from spillway.project import LOCAL_STAGE
from spillway.terminal import pluralize

if TYPE_CHECKING:
    from chalicelib.domain.ids import Sku

stage_option = click.option(
    "--stage",
    "stage_name",
    metavar="NAME",
    default=LOCAL_STAGE,
    show_default=True,
    help="The stage: local, or its name on AWS.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
UNITS_S = {"s": 1, "m": 60, "h": 3600}
OVER_S_MAX = 24 * 3600
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but warnings and errors.")
skip_broken_pictures_option = click.option(
    "--skip-broken-pictures",
    is_flag=True,
    help="Leave out pictures that cannot be shown, and list them at the end.",
)


class ChoiceType(click.Choice[str]):
    """One of several values; an error suggests the nearest one."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """Return the error about a value that is none of the choices."""
        # Imported here, as below: a command that builds an unchanged shop takes no longer than its imports.
        from difflib import get_close_matches

        message = super().get_invalid_choice_message(value, ctx)
        near = get_close_matches(str(value), self.choices, n=1)
        return f"{message} Did you mean {near[0]!r}?" if near else message


class WholeNumber(click.IntRange):
    """A whole number of a range; its errors name the range in words."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value)
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII) else None
        low, high = self.min or 0, self.max
        if number is None or number < low or (high is not None and number > high):
            self.fail(f"{text!r}: expected a whole number {self._describe_range()}", param, ctx)
        return number

    def _describe_range(self) -> str:
        upto = "or more" if self.max is None else f"to {int(self.max):,}"
        return f"from {self.min or 0:,} {upto}" if self.max is not None else f"of {self.min or 0:,} {upto}"


class Decimal(click.FloatRange):
    """A decimal number of a range; its errors name the range in words."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if self.min is None or self.max is None or not self.min <= number <= self.max:
            self.fail(f"{str(value)!r}: expected a number {self._describe_range()}", param, ctx)
        return number

    def _describe_range(self) -> str:
        return f"from {self.min:,g} to {self.max:,g}"


def on_stage() -> str:
    """Return the option with which a suggested command reaches the stage of the running one.

    It is " --stage NAME", and empty for the local stage.
    """
    context = click.get_current_context(silent=True)
    name = context.params.get("stage_name") if context else None
    return f" --stage {name}" if name and name != LOCAL_STAGE else ""


def is_default(name: str) -> bool:
    """Return whether the parameter `name` of the running command was left out."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.DEFAULT


def refuse_ignored(mode: str, *, ignored: Collection[str] = (), heeded: Collection[str] = ()) -> None:
    """Refuse each option on the command line that has no effect beside another one, or without it.

    Args:
        mode: The other option in words: "with --list", "without --print-policy".
        ignored: The names of the parameters that it ignores; without any, all others.
        heeded: The names of the parameters that it heeds.

    Raises:
        BadInput: One was given.
    """
    context, other = click.get_current_context(), mode.rpartition(" ")[2]
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in heeded or (ignored and name not in ignored) or other in parameter.opts:
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words = parameter.opts[0] if isinstance(parameter, click.Option) else name.upper()
            hint = "leave one of the two out" if mode.startswith("with ") else f"leave {words} out"
            raise BadInput(f"{words}: has no effect {mode}", hint=hint)


class DurationType(click.ParamType[int]):
    """A length of time: 90s, 20m, 1h."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,6})([smh])", str(value))
        if not match or not 0 < (seconds := int(match[1]) * UNITS_S[match[2]]) <= OVER_S_MAX:
            self.fail(f"{value!r} is no time up to 24 h; for example 90s, 20m or 1h", param, ctx)
        return seconds


class ShareType(click.ParamType[float]):
    """A share of a whole: 5% or 0.05."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return a number from 0 to 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share; for example 5% or 0.05", param, ctx)
        return share


class SkuType(click.ParamType["Sku"]):
    """An SKU as a merchant types it."""

    name = "sku"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Sku":
        """Return the SKU.

        Raises:
            BadInput: The text is no SKU.
        """
        from chalicelib.domain.ids import SkuRefused, parse_sku

        try:
            return parse_sku(str(value))
        except SkuRefused as refused:
            raise BadInput(f"SKU {value!r}: not an SKU", hint=refused.reason) from None


SKU = SkuType()


def write_whole(file: Path, text: str, *, option: str) -> None:
    """Write the file that an option names, whole or not at all.

    Raises:
        BadInput: It cannot be written.
    """
    beside: Path | None = None
    try:
        if file.exists() and not file.is_file():
            # A device or a pipe is written in place; a folder refuses that.
            file.write_text(text, encoding="utf-8")
            return
        target = file.resolve()
        beside = target.parent / f".{target.name}.unfinished"
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        with suppress(OSError):
            if beside:
                beside.unlink()
        raise BadInput(
            f"{option} {file}: {error.strerror}", hint="name a file in an existing folder"
        ) from error


def show_left_out(left_out: Sequence[str]) -> None:
    """Print each place that names a picture which was left out."""
    if left_out:
        click.echo(f"{pluralize(len(left_out), 'picture')} left out:", err=True)
    for line in left_out:
        click.echo(f"  {line}", err=True)
