"""The code that Lambda runs; it never imports spillway."""
