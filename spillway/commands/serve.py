"""`spillway serve`: the pages while they are being written."""

import threading

import click

from spillway.project import Project


@click.command("serve")
@click.option(
    "--port", type=click.IntRange(1024, 65_535), default=8080, show_default=True, help="Where to serve it."
)
@click.pass_obj
def serve_command(project: Project, port: int) -> None:
    """Serve the shop's pages on this machine, and reload them in the browser when a file changes.

    Mistakes are shown in place of the page. There is no waitlist behind it: make demo has one.
    """
    # Loaded only now: the other commands do not wait for a web server.
    from spillway.local_cloud import ports
    from spillway.local_cloud.browser_guard import BrowserGuard, hosts_of
    from spillway.local_cloud.servers import served
    from spillway.sitegen.preview import Preview

    url = f"http://{ports.HOST}:{port}"
    preview = Preview(project, base_url=url)
    with ports.claim(port, "the pages") as claimed:
        preview.look()
        click.echo(preview.mistakes or f"{url}/  (Ctrl-C ends it)")
        with served(BrowserGuard(hosts_of(port)).around(preview.app()), claimed):
            try:
                preview.watch(threading.Event())
            except KeyboardInterrupt:
                click.echo()
