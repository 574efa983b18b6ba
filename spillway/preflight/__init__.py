"""Before the campaign: will it hold, what breaks first, what will it cost. Pure but for `account`."""
