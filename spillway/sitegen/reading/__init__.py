"""Read a merchant's files under site/ into a `Catalogue`, or report every error in them at once."""
