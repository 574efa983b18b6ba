"""The commands in the groups that `spillway --help` shows; a command's module is imported when it runs.

A command module reads options, calls a service and prints the result. It decides nothing.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """One command: its place in this package ("module:attribute"), and the first sentence of its help."""

    path: str
    summary: str


# The summaries stand here as well as in the commands: the list is shown without importing 15 modules.
GROUPS: dict[str, dict[str, Entry]] = {
    "Make the shop": {
        "new": Entry("new:new_command", "Start a shop in a new folder."),
        "import": Entry("catalogue:import_command", "Write product files from another shop's export."),
        "build": Entry("shop:build_command", "Build every page, picture and asset of the shop."),
        "serve": Entry("shop:serve_command", "Serve the pages on this machine and reload them on change."),
        "theme": Entry("theme:theme_command", "List, show, copy, compare and merge the files of the theme."),
        "messages": Entry("shop:messages_command", "Write the shop's texts to a file for translators."),
        "emails": Entry("sending:emails_command", "Preview the shop's emails."),
        "feed": Entry("catalogue:feed_command", "Write a product feed for another service."),
        "demo": Entry("shop:demo_command", "Run the whole shop on this machine."),
    },
    "Stock and waitlists": {
        "available": Entry("stock:available_command", "Mark a variant as available and notify its waitlist."),
        "sold-out": Entry("stock:sold_out_command", "Mark a variant as sold out."),
        "stock": Entry("stock:stock_command", "Import the stock of many variants from a CSV file."),
        "sources": Entry("sources:sources_command", "Let other systems send stock events."),
        "reconcile": Entry(
            "reconcile:reconcile_command",
            "Compare the stock with another system's whole list and apply the differences.",
        ),
        "links": Entry("sources:links_command", "Link the ids of other systems to SKUs."),
        "events": Entry(
            "sources:events_command", "Show the stock events of other systems and what they changed."
        ),
        "rules": Entry("rules:rules_command", "Check, try and follow the rules of the shop."),
        "webhooks": Entry("webhooks:webhooks_command", "Send the shop's events to other systems."),
        "waiting": Entry("waiting:waiting_command", "Show how many people wait for each variant."),
        "waves": Entry("waiting:waves_command", "Show the progress of a variant's restock emails."),
        "report": Entry(
            "reports:report_command", "Show the outcome of restocks: emails, clicks, orders, revenue."
        ),
        "order-about": Entry(
            "reports:order_about_command", "Show about how many units to order of each variant."
        ),
        "wave-policy": Entry(
            "waiting:wave_policy_command", "Show or set how many people a restock notifies at once."
        ),
        "export": Entry("waiting:export_command", "Export a variant's waitlist, in order."),
        "waitlist": Entry(
            "waitlist:waitlist_command", "Import or move people, or check the counters of people waiting."
        ),
    },
    "People": {
        "shopper": Entry(
            "people:shopper_command", "Show, export or erase everything that is stored about one person."
        ),
        "why": Entry("people:why_command", "Explain why a person did or did not get an email about SKU."),
        "suppressions": Entry(
            "suppressions:suppressions_command", "List, lift, import or export suppressed addresses."
        ),
        "unsubscribe": Entry(
            "suppressions:unsubscribe_command", "Unsubscribe people by the emails in a mailbox file."
        ),
        "access-log": Entry(
            "people:access_log_command", "List each use of the commands that show or change people."
        ),
    },
    "Run a stage": {
        "deploy": Entry("deploy:deploy_command", "Create or update a stage's stack."),
        "publish": Entry(
            "publish:publish_command", "Build the shop with today's stock and upload what changed."
        ),
        "rollback": Entry("publish:rollback_command", "Make an earlier release live again."),
        "status": Entry("health:status_command", "Show people waiting, emails, failed jobs and alarms."),
        "traffic": Entry(
            "traffic:traffic_command", "Show who came, from where, what they saw, and what it cost so far."
        ),
        "doctor": Entry("health:doctor_command", "Check a stage from its stack to its sender's DNS records."),
        "send-test": Entry("sending:send_test_command", "Send a sample of every email to one address."),
        "merchant": Entry(
            "merchant:merchant_command", "Add, list and remove the people who may sign in to /merchant/."
        ),
        "pause": Entry("sending:pause_command", "Stop all sending until `spillway resume`."),
        "resume": Entry("sending:resume_command", "Start sending again after a pause."),
        "failed": Entry(
            "sending:failed_command", "List failed jobs: the messages in the dead letter queues."
        ),
        "redrive": Entry("sending:redrive_command", "Process the failed jobs of a queue again."),
        "autopilot": Entry(
            "health:autopilot_command", "React to floods, complaints and failed jobs, within bounds."
        ),
        "package": Entry("deploy:package_command", "Write the Lambda package and the stack's template."),
        "destroy": Entry("deploy:destroy_command", "Delete a stage's stack."),
    },
    "Test a campaign": {
        "preflight": Entry(
            "campaign:preflight_command", "Predict whether a campaign holds, what breaks first, and its bill."
        ),
        "load": Entry(
            "campaign:load_command", "Send a flood of shoppers and check that no accepted signup is lost."
        ),
    },
}
# The place of each command: "spillway.commands.module:attribute".
COMMANDS = {name: f"{__name__}.{entry.path}" for group in GROUPS.values() for name, entry in group.items()}
