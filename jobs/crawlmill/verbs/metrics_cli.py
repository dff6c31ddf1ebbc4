"""The verb that tells a monitoring system about the data."""

from __future__ import annotations

from contextlib import suppress

import click

from crawlmill import layout
from crawlmill.cli import LAKE
from crawlmill.errors import UserError


@click.command()
@LAKE
@click.option("--serve", metavar="HOST:PORT", help="Answer at http://HOST:PORT/metrics until stopped.")
def metrics(lake: str | None, serve: str | None) -> None:
    """Documents per second by stage, verdicts and open warnings, in Prometheus' text format.

    Without --serve they are printed, for a node exporter's folder of text files.

    \b
    Example: crawlmill metrics --serve 0.0.0.0:9108
    """
    from crawlmill.orchestrate import metrics as told

    root = layout.lake_root(lake)
    if not serve:
        click.echo(told.text(told.samples(root)), nl=False)
        return
    host, _, port = serve.rpartition(":")
    try:
        server = told.server(root, host or "127.0.0.1", int(port))
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(f"--serve {serve} cannot be listened to ({error}): give HOST:PORT, like 127.0.0.1:9108") from None
    click.echo(f"metrics of {root} at http://{host or '127.0.0.1'}:{server.server_port}/metrics")
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()
