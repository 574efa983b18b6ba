const { createHash } = require("node:crypto");
const { mkdirSync, readFileSync, writeFileSync } = require("node:fs");

const PAGE_SIZE = 48;
const money = new Intl.NumberFormat("en-GB", { style: "currency", currency: "GBP" });

function asset(name) {
  const bytes = readFileSync(`assets/${name}`);
  const url = `/${name.replace(".", `.${createHash("sha256").update(bytes).digest("hex")}.`)}`;
  mkdirSync("_site", { recursive: true });
  writeFileSync(`_site${url}`, bytes);
  return url;
}

function offers(product, url) {
  return product.variants.map((variant) => ({
    "@type": "Offer",
    sku: variant.sku,
    price: product.price,
    priceCurrency: "GBP",
    availability: `https://schema.org/${variant.stock > 0 ? "InStock" : "OutOfStock"}`,
    url,
    name: `${variant.colour}, ${variant.size}`,
  }));
}

// The pages of a list, as many as it takes.
function paged(path, title, products) {
  const count = Math.ceil(products.length / PAGE_SIZE) || 1;
  const address = (number) => (number === 1 ? `${path}index.html` : `${path}page/${number}.html`);
  return Array.from({ length: count }, (_, index) => ({
    title,
    number: index + 1,
    count,
    path: address(index + 1),
    newer: index > 0 && address(index),
    older: index + 1 < count && address(index + 2),
    products: products.slice(index * PAGE_SIZE, (index + 1) * PAGE_SIZE),
  }));
}

module.exports = (config) => {
  const urls = { css: asset("shop.css"), js: asset("shop.js") };
  config.addGlobalData("urls", urls);
  config.addFilter("money", (price) => money.format(price));
  config.addFilter("buyable", (variants) => variants.filter((each) => each.stock > 0));
  config.addFilter("awaited", (variants) => variants.filter((each) => each.stock === 0));
  config.addFilter("colours", (variants) => [...new Set(variants.map((each) => each.colour))]);
  config.addFilter("in", (variants, colour) => variants.filter((each) => each.colour === colour));
  config.addFilter("jsonLd", (product, url) =>
    JSON.stringify({
      "@context": "https://schema.org",
      "@type": "Product",
      name: product.title,
      description: product.summary,
      url,
      brand: { "@type": "Brand", name: "Ordinary Weather" },
      offers: offers(product, url),
    }).replace(/</g, "\\u003c"),
  );
  config.addCollection("lists", (api) => {
    const products = api.getFilteredByTag("product");
    const shelves = new Map();
    for (const each of products) {
      const shelf = each.data.shelf;
      shelves.set(shelf, [...(shelves.get(shelf) ?? []), each]);
    }
    const lists = [...shelves].map(([shelf, its]) => paged(`/${shelf}/`, `Shelf ${+shelf.slice(6)}`, its));
    return [paged("/", "Ordinary Weather", products), ...lists].flat();
  });
  return { dir: { input: "content", includes: "../_includes", output: "_site" } };
};
