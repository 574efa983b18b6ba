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
    "access-log": "spillway.commands.shopper:access_log_command",
    "available": "spillway.commands.available:available_command",
    "build": "spillway.commands.build:build_command",
    "demo": "spillway.commands.demo:demo_command",
    "deploy": "spillway.commands.deploy:deploy_command",
    "destroy": "spillway.commands.destroy:destroy_command",
    "doctor": "spillway.commands.doctor:doctor_command",
    "export": "spillway.commands.export:export_command",
    "feed": "spillway.commands.feed:feed_command",
    "import": "spillway.commands.import_:import_command",
    "emails": "spillway.commands.emails:emails_command",
    "load": "spillway.commands.load:load_command",
    "package": "spillway.commands.package:package_command",
    "pause": "spillway.commands.pause:pause_command",
    "wave-policy": "spillway.commands.wave_policy:wave_policy_command",
    "preflight": "spillway.commands.preflight:preflight_command",
    "publish": "spillway.commands.publish:publish_command",
    "redrive": "spillway.commands.failed:redrive_command",
    "resume": "spillway.commands.resume:resume_command",
    "rollback": "spillway.commands.rollback:rollback_command",
    "send-test": "spillway.commands.emails:send_test_command",
    "serve": "spillway.commands.serve:serve_command",
    "shopper": "spillway.commands.shopper:shopper_command",
    "sold-out": "spillway.commands.available:sold_out_command",
    "status": "spillway.commands.status:status_command",
    "stock": "spillway.commands.stock:stock_command",
    "failed": "spillway.commands.failed:failed_command",
    "suppressions": "spillway.commands.suppressions:suppressions_command",
    "autopilot": "spillway.commands.autopilot:autopilot_command",
    "messages": "spillway.commands.messages:messages_command",
    "unsubscribe": "spillway.commands.unsubscribe:unsubscribe_command",
    "waiting": "spillway.commands.waiting:waiting_command",
    "waitlist": "spillway.commands.waitlist:waitlist_command",
    "waves": "spillway.commands.waves:waves_command",
    "why": "spillway.commands.shopper:why_command",
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
