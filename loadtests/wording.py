"""The result of a flood in sentences."""

from chalicelib.services.recount import Recounted
from loadtests.ledger import Account

MISSING_SHOWN_MAX = 10
NO_ANSWER = 0


def said(result: Account) -> str:
    """Return the account for a person to read: every form in it, and every answer that was no answer."""
    if not result.accepted:
        return "No signup was accepted: nothing is proven."
    there = result.accepted - len(result.missing)
    lines = [f"{there:,} of {result.accepted:,} accepted signups are in the Entries table."]
    lines += [f"  missing: {wish.mailbox} for {wish.sku}" for wish in result.missing[:MISSING_SHOWN_MAX]]
    lines += [f"  more than once: {wish.mailbox} for {wish.sku}" for wish in result.repeated]
    lines.append(
        f"{result.forms:,} forms: {result.accepted_forms:,} accepted, some of them twice from one shopper,"
        f" {result.refused:,} refused for a mistake, {result.gave_up:,} given up."
    )
    if result.turned_away:
        lines.append(
            f"Throttled or failed {_by_status(result)}; {result.retried:,} forms were sent again,"
            f" later each time and never at once, {result.retried - result.retried_in_vain:,} with success."
        )
    if result.stored_unanswered:
        lines.append(f"{result.stored_unanswered:,} entries were written whose shoppers got no answer.")
    return "\n".join(lines)


def said_of_counters(found: Recounted) -> str:
    """Return how the merchant's counters compare with the entries."""
    entries = f"{found.entries:,} entries of {found.skus:,} SKUs are in the Entries table:"
    if not found.drifts:
        return f"{entries} every counter of the merchant's page is right."
    differ = [f"  {drift.sku} {drift.counter}: {drift.difference:+,}" for drift in found.drifts]
    counters = f"{entries} {len(differ):,} counters differ, by {found.drift:,} in all."
    return "\n".join([counters, *differ[:MISSING_SHOWN_MAX]])


def _by_status(result: Account) -> str:
    return ", ".join(
        f"{count:,} times without an answer" if status == NO_ANSWER else f"{count:,} times with {status}"
        for status, count in sorted(result.turned_away.items())
    )
