"""The cloud that answers at once, as a benchmark uses it: start it, give it a shop, read its counts."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from chalicelib.settings import Settings

SKU = "FJ-MOSS-M"
SOLD_OUT_SKU = "FJ-MOSS-S"
SLUG = "field-jacket"


@contextmanager
def played_cloud() -> Iterator[str]:
    """Start the sink with the sample shop, point this process's clients at it, and yield its URL."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "benchmarks.cloud_sink", str(_shop_file(Path(folder)))]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
                _set_environment(url)
                yield url
            finally:
                process.terminate()


def counts(url: str) -> dict[str, float]:
    """How often each call was made since the last time, and the capacity units they would be charged."""
    with urlopen(f"{url}/counts") as answer:
        counted: dict[str, float] = json.load(answer)
    return counted


def _shop_file(folder: Path) -> Path:
    from chalicelib.tables.expressions import encode
    from chalicelib.tables.products import PRODUCT_PREFIX, stock_values
    from spillway.project import Project
    from spillway.sitegen.site import build

    release = build(Project.find(Path.cwd()))
    entry = next(entry for entry in release.products if entry.product.slug == SLUG)
    stock: dict[str, Any] = {sku: encode(stock_values(stock)) for sku, stock in entry.stock.items()}
    for sku, word in ((SKU, "InStock"), (SOLD_OUT_SKU, "OutOfStock")):
        stock[sku]["M"]["availability"] = {"S": word}
    # Nobody is emailed about a variant in stock of which there are none.
    stock[SKU]["M"]["units"] = {"N": "1000000"}
    product = {
        "id": {"S": PRODUCT_PREFIX + SLUG},
        "document": {"S": json.dumps(entry.product.to_document(), sort_keys=True, ensure_ascii=False)},
        "stock": {"M": stock},
    }
    file = folder / "shop.json"
    shop = {"theme": release.theme.to_json(), "slug": SLUG, "sku": SKU, "product": product}
    file.write_text(json.dumps(shop), encoding="utf-8")
    return file


def _set_environment(url: str) -> None:
    # Settings of the functions: a name is its own value, an address leads to the sink.
    for setting in fields(Settings):
        if setting.default is not MISSING:
            continue
        name = setting.name.replace("_", "-")
        is_queue = setting.name.endswith("_url")
        os.environ[setting.name.upper()] = f"{url}/000000000000/{name}" if is_queue else name
    os.environ.update(
        AWS_ENDPOINT_URL=url,
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
