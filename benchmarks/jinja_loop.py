"""Measure Jinja2 alone for the product pages: read the files, render, write. Run in a shop's folder."""

import tomllib
from pathlib import Path

from jinja2 import Environment

_PAGE = """<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<meta name="description" content="{{ summary }}">
</head>
<body>
<nav><ul>
{% for number in range(9) %}<li><a href="/shop/{{ number }}">Shelf {{ number }}</a></li>{% endfor %}
</ul></nav>
<main>
<h1>{{ title }}</h1>
<p>{{ price }}</p>
<p>{{ summary }}</p>
<form>
{% for variant in variants %}
<label><input type="radio" name="sku" value="{{ variant.sku }}">
<span>{% for name, value in variant.options.items() %}{{ value }} {% endfor %}</span></label>
{% endfor %}
</form>
{% for paragraph in description.split("\\n\\n") %}<p>{{ paragraph }}</p>{% endfor %}
</main>
</body>
</html>
"""


def main() -> None:
    """One page for each product, in one process."""
    template = Environment(autoescape=True).from_string(_PAGE)
    out = Path("build/loop")
    out.mkdir(parents=True, exist_ok=True)
    for file in Path("site/products").glob("*.toml"):
        (out / file.stem).write_text(template.render(tomllib.loads(file.read_text())))


if __name__ == "__main__":
    main()
