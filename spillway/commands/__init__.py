"""The commands in the groups that `spillway --help` shows; a command's module is imported when it runs.

A command module reads options, calls a service and prints the result. It decides nothing.
"""

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """One command: its place in this package ("module:attribute"), and the first sentence of its help."""

    path: str
    summary: str


# The summaries stand here as well as in the commands: the list is shown without importing 15 modules.
GROUPS: dict[str, dict[str, CommandEntry]] = {
    "Make the shop": {
        "new": CommandEntry("new:new_command", "Start a shop in a new folder."),
        "import": CommandEntry("catalogue:import_command", "Write product files from another shop's export."),
        "build": CommandEntry("shop:build_command", "Build every page, picture and asset of the shop."),
        "serve": CommandEntry(
            "shop:serve_command", "Serve the pages on this machine and reload them on change."
        ),
        "theme": CommandEntry(
            "theme:theme_command", "List, show, copy, compare and merge the files of the theme."
        ),
        "messages": CommandEntry(
            "shop:messages_command", "Write the shop's texts to a file for translators."
        ),
        "emails": CommandEntry("sending:emails_command", "Preview the shop's emails."),
        "feed": CommandEntry("catalogue:feed_command", "Write a product feed for another service."),
        "demo": CommandEntry("shop:demo_command", "Run the whole shop on this machine."),
    },
    "Stock and waitlists": {
        "available": CommandEntry(
            "stock:available_command", "Mark a variant as available and notify its waitlist."
        ),
        "sold-out": CommandEntry("stock:sold_out_command", "Mark a variant as sold out."),
        "stock": CommandEntry("stock:stock_command", "Import the stock of many variants from a CSV file."),
        "sources": CommandEntry("sources:sources_command", "Let other systems send stock events."),
        "reconcile": CommandEntry(
            "reconcile:reconcile_command",
            "Compare the stock with another system's whole list and apply the differences.",
        ),
        "links": CommandEntry("sources:links_command", "Link the ids of other systems to SKUs."),
        "events": CommandEntry(
            "sources:events_command", "Show the stock events of other systems and what they changed."
        ),
        "rules": CommandEntry("rules:rules_command", "Check, try and follow the rules of the shop."),
        "webhooks": CommandEntry("webhooks:webhooks_command", "Send the shop's events to other systems."),
        "waiting": CommandEntry("waiting:waiting_command", "Show how many people wait for each variant."),
        "waves": CommandEntry("waiting:waves_command", "Show the progress of a variant's restock emails."),
        "report": CommandEntry(
            "reports:report_command", "Show the outcome of restocks: emails, clicks, orders, revenue."
        ),
        "order-about": CommandEntry(
            "reports:order_about_command", "Show about how many units to order of each variant."
        ),
        "wave-policy": CommandEntry(
            "waiting:wave_policy_command", "Show or set how many people a restock notifies at once."
        ),
        "export": CommandEntry("waiting:export_command", "Export a variant's waitlist, in order."),
        "waitlist": CommandEntry(
            "waitlist:waitlist_command", "Import or move people, or check the counters of people waiting."
        ),
    },
    "People": {
        "shopper": CommandEntry(
            "people:shopper_command", "Show, export or erase everything that is stored about one person."
        ),
        "why": CommandEntry(
            "people:why_command", "Explain why a person did or did not get an email about SKU."
        ),
        "suppressions": CommandEntry(
            "suppressions:suppressions_command", "List, lift, import or export suppressed addresses."
        ),
        "unsubscribe": CommandEntry(
            "suppressions:unsubscribe_command", "Unsubscribe people by the emails in a mailbox file."
        ),
        "access-log": CommandEntry(
            "people:access_log_command", "List each use of the commands that show or change people."
        ),
    },
    "Run a stage": {
        "deploy": CommandEntry("deploy:deploy_command", "Create or update a stage's stack."),
        "publish": CommandEntry(
            "publish:publish_command", "Build the shop with today's stock and upload what changed."
        ),
        "rollback": CommandEntry("publish:rollback_command", "Make an earlier release live again."),
        "status": CommandEntry(
            "health:status_command", "Show people waiting, emails, failed jobs and alarms."
        ),
        "traffic": CommandEntry(
            "traffic:traffic_command", "Show who came, from where, what they saw, and what it cost so far."
        ),
        "doctor": CommandEntry(
            "health:doctor_command", "Check a stage from its stack to its sender's DNS records."
        ),
        "send-test": CommandEntry(
            "sending:send_test_command", "Send a sample of every email to one address."
        ),
        "merchant": CommandEntry(
            "merchant:merchant_command", "Add, list and remove the people who may sign in to /merchant/."
        ),
        "pause": CommandEntry("sending:pause_command", "Stop all sending until `spillway resume`."),
        "resume": CommandEntry("sending:resume_command", "Start sending again after a pause."),
        "failed": CommandEntry(
            "sending:failed_command", "List failed jobs: the messages in the dead letter queues."
        ),
        "redrive": CommandEntry("sending:redrive_command", "Process the failed jobs of a queue again."),
        "autopilot": CommandEntry(
            "health:autopilot_command", "React to floods, complaints and failed jobs, within bounds."
        ),
        "package": CommandEntry(
            "deploy:package_command", "Write the Lambda package and the stack's template."
        ),
        "destroy": CommandEntry("deploy:destroy_command", "Delete a stage's stack."),
    },
    "Test a campaign": {
        "preflight": CommandEntry(
            "campaign:preflight_command", "Predict whether a campaign holds, what breaks first, and its bill."
        ),
        "load": CommandEntry(
            "campaign:load_command", "Send a flood of shoppers and check that no accepted signup is lost."
        ),
    },
}
# The place of each command: "spillway.commands.module:attribute".
COMMANDS = {name: f"{__name__}.{entry.path}" for group in GROUPS.values() for name, entry in group.items()}
