"""Lighthouse over the product page of the sample shop, as a phone sees it through the CDN.

    python -m benchmarks lighthouse

Lighthouse comes from its npm package, the browser is this machine's Chromium. Its mobile preset plays a
slow phone on a slow line by reckoning, from what it saw on this machine: a busy one costs points.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cdn import shop_behind_cdn
from benchmarks.peers import installed_by_npm
from benchmarks.tables import write_table

ROUNDS = 5
WANTED = 100
# One with variants to buy and variants to wait for.
PRODUCT_PATH = "/products/field-jacket"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
_ROOT = Path(__file__).parents[1]
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run's word on a page, by category: scores of 100, and what cost points."""

    scores: Mapping[str, float]
    costing: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> "Verdict":
        """Return the figures of a report of Lighthouse."""
        audits, categories = report["audits"], report["categories"]
        return cls(
            {name: categories[name]["score"] * 100 for name in CATEGORIES},
            {name: list(_costing(categories[name], audits)) for name in CATEGORIES},
        )


def main() -> None:
    """Measure, and write the tables."""
    browser = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if browser is None:
        sys.exit(f"no browser is installed: none of {', '.join(_CHROMIUM)} was found")
    program = installed_by_npm("lighthouse")
    version = json.loads((program / "package.json").read_text())["version"]
    with shop_behind_cdn(_ROOT) as url:
        verdicts = [_judged(program, browser, url + PRODUCT_PATH) for _ in range(ROUNDS)]
    write_table(
        f"Lighthouse {version}, mobile, {PRODUCT_PATH}",
        "python -m benchmarks lighthouse",
        ("category", f"median of {ROUNDS}", "least", "wanted", "what costs points"),
        [_row(name, verdicts) for name in CATEGORIES],
    )


def _judged(program: Path, browser: str, url: str) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *("node", str(program / "cli" / "index.js"), url, "--quiet"),
                *("--output=json", f"--output-path={report}", f"--only-categories={','.join(CATEGORIES)}"),
                f"--chrome-flags=--headless=new --no-sandbox --user-data-dir={folder}/browser",
            ],
            env={**os.environ, "CHROME_PATH": browser},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return Verdict.of(json.loads(report.read_text()))


def _costing(category: Mapping[str, Any], audits: Mapping[str, Any]) -> Iterator[str]:
    """Audits that count and were not passed in full, the dearest first."""
    lost = {
        ref["id"]: ref["weight"] * (1 - audits[ref["id"]]["score"])
        for ref in category["auditRefs"]
        if ref["weight"] and audits[ref["id"]]["score"] is not None
    }
    for name, points in sorted(lost.items(), key=lambda item: -item[1]):
        if points:
            yield f"{name} ({audits[name].get('displayValue') or 'no'})"


def _row(category: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    scores = [verdict.scores[category] for verdict in verdicts]
    worst = min(verdicts, key=lambda verdict: verdict.scores[category])
    costing = ", ".join(worst.costing[category]) or "-"
    return (category, f"{median(scores):.0f}", f"{min(scores):.0f}", str(WANTED), costing)
