"""An import of a large export against the least that any importer does with it.

    python -m benchmarks import_

The peer reads the same file with `csv`, turns each description into Markdown with markdownify, and does
nothing else: no prices, no stock, no checks, no files. Both run as processes of their own, by turns.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.catalogue import FEATURED, items, write_shop
from benchmarks.peers import installed
from benchmarks.processes import Run, run
from benchmarks.shopify_export import as_csv, export
from benchmarks.tables import write_table

PRODUCTS = 1130  # 5,000 rows
ROUNDS = 5
ROOT = Path(__file__).parents[1]
PEER = """
import csv, sys
from markdownify import markdownify
with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
    bodies = [markdownify(row["Body (HTML)"]) for row in csv.DictReader(file) if row["Body (HTML)"]]
"""


def main() -> None:
    """Measure, and print."""
    markdownify = installed("markdownify")
    rows = export(PRODUCTS)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        file = home / "export.csv"
        file.write_bytes(as_csv(rows))
        shop = home / "shop"
        write_shop(shop, items(FEATURED))
        python = markdownify.parent / "python"
        ours: list[Run] = []
        peers: list[Run] = []
        for number in range(ROUNDS):
            peers.append(run([str(python), "-c", PEER, str(file)], home))
            fresh = home / f"shop-{number}"
            shutil.copytree(shop, fresh, symlinks=True)
            ours.append(
                run(
                    [sys.executable, "-m", "spillway", "import", "shopify", str(file), "--no-images"],
                    fresh,
                    environment={"PATH": "", "PYTHONPATH": str(ROOT)},
                )
            )
    peer_s = median(peer.elapsed_s for peer in peers)
    write_table(
        f"Importing {PRODUCTS:,} products of {len(rows):,} rows",
        "python -m benchmarks import_",
        ["", "seconds, median", "x peer", "CPU seconds", "MB of the largest process"],
        [
            [
                name,
                f"{median(item.elapsed_s for item in found):.2f}",
                f"{median(item.elapsed_s for item in found) / peer_s:.2f}",
                f"{median(item.cpu_s for item in found):.2f}",
                f"{median(item.largest_mb for item in found):.0f}",
            ]
            for name, found in (("csv and markdownify alone", peers), ("spillway import shopify", ours))
        ],
    )


if __name__ == "__main__":
    main()
