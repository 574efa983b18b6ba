"""axe in a page: loaded once into each document, and only what it finds wrong is sent back.

A full report has every element that passed: reading it costs as much CPU as the rules.
"""

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Page

EVERY_RULE: dict[str, object] = {"resultTypes": ["violations"]}
# In the dark, nothing but colours is different.
RULES_OF_COLOUR = EVERY_RULE | {"runOnly": {"type": "tag", "values": ["cat.color"]}}


def require_no_violations(page: Page, rules: dict[str, object] = EVERY_RULE, seen: str = "page") -> None:
    """Run axe's rules on the page as it is; fail with a report of each violation. `seen` names the view."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    violations = page.evaluate("rules => axe.run(rules).then(found => found.violations)", rules)
    assert violations == [], f"{seen}: {AxeResults({'violations': violations}).generate_report()}"
