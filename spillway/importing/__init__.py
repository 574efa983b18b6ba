"""Turn exports of other shops into product files that a merchant can edit, and report what is left out."""
