"""Options that commands have in common."""

import click

from spillway.stage import LOCAL

stage_option = click.option("--stage", "stage_name", metavar="NAME", default=LOCAL, show_default=True)
json_option = click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
