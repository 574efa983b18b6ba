"""Running a shop: how it is, what is wrong with it, what reacts by itself, and its end."""
