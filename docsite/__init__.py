"""Make the docs: reference pages from the code, screenshots of the sample shop, and the site."""
