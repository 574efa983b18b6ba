"""The `spillway` command."""

import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from spillway.errors import SpillwayError
from spillway.interrupt import Interrupted
from spillway.project import Project

# Loaded when called for: marking a variant available does not wait for the picture library.
COMMANDS = {
    "access-log": "spillway.commands.people:access_log_command",
    "available": "spillway.commands.stock:available_command",
    "build": "spillway.commands.shop:build_command",
    "demo": "spillway.commands.shop:demo_command",
    "deploy": "spillway.commands.deploy:deploy_command",
    "destroy": "spillway.commands.deploy:destroy_command",
    "doctor": "spillway.commands.health:doctor_command",
    "export": "spillway.commands.waiting:export_command",
    "feed": "spillway.commands.catalogue:feed_command",
    "import": "spillway.commands.catalogue:import_command",
    "emails": "spillway.commands.emails:emails_command",
    "load": "spillway.commands.campaign:load_command",
    "package": "spillway.commands.deploy:package_command",
    "pause": "spillway.commands.sending:pause_command",
    "wave-policy": "spillway.commands.waiting:wave_policy_command",
    "preflight": "spillway.commands.campaign:preflight_command",
    "publish": "spillway.commands.publish:publish_command",
    "redrive": "spillway.commands.sending:redrive_command",
    "resume": "spillway.commands.sending:resume_command",
    "rollback": "spillway.commands.publish:rollback_command",
    "send-test": "spillway.commands.emails:send_test_command",
    "serve": "spillway.commands.shop:serve_command",
    "shopper": "spillway.commands.people:shopper_command",
    "sold-out": "spillway.commands.stock:sold_out_command",
    "status": "spillway.commands.health:status_command",
    "stock": "spillway.commands.stock:stock_command",
    "failed": "spillway.commands.sending:failed_command",
    "suppressions": "spillway.commands.suppressions:suppressions_command",
    "autopilot": "spillway.commands.health:autopilot_command",
    "messages": "spillway.commands.shop:messages_command",
    "unsubscribe": "spillway.commands.suppressions:unsubscribe_command",
    "waiting": "spillway.commands.waiting:waiting_command",
    "waitlist": "spillway.commands.waitlist:waitlist_command",
    "waves": "spillway.commands.waiting:waves_command",
    "why": "spillway.commands.people:why_command",
}


class Commands(click.Group):
    """The commands, by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command there is."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Ctrl-C ends it as an error of ours."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted(ctx.invoked_subcommand or "") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="spillway", message="%(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """A static storefront and a waitlist that survive a flood of visitors."""
    if context.obj is None:
        context.obj = Project.find(Path.cwd())


def main() -> None:
    """Run one command. Exit status: 0 done, 1 the work failed, 2 the input was wrong, 130 Ctrl-C."""
    try:
        cli(standalone_mode=True)
    except SpillwayError as error:
        _end(error)
    except Exception as error:
        # Nobody's fault here, and no traceback's worth: AWS said no, or was not to be reached.
        if not type(error).__module__.startswith("botocore"):
            raise
        from spillway.aws_errors import explained

        _end(explained(error))


def _end(error: SpillwayError) -> NoReturn:
    click.echo(f"spillway: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
