// Filters and sorts the cards of a listing that has one page. Without it, the controls stay hidden.
(() => {
  const controls = document.querySelector(".sift");
  const grid = document.querySelector(".grid");
  const status = controls.querySelector("[role=status]");
  const sorting = controls.querySelector("[name=sort]");
  const hiding = controls.querySelector("[type=checkbox]");
  const words = controls.dataset;
  // A longer list of values helps nobody to find one.
  const valuesMax = 12;

  const cards = [...grid.children].map((card) => ({
    card,
    name: card.querySelector("h3").textContent,
    price: Number(card.dataset.price),
    soldOut: "out" in card.dataset,
    options: new Map(JSON.parse(card.dataset.options)),
  }));
  const byName = new Intl.Collator(document.documentElement.lang, { numeric: true }).compare;
  const orders = {
    newest: () => 0,
    cheapest: (one, other) => one.price - other.price,
    dearest: (one, other) => other.price - one.price,
    name: (one, other) => byName(one.name, other.name),
  };

  const valuesOf = new Map();
  for (const { options } of cards) {
    for (const [name, values] of options) valuesOf.set(name, new Set([...(valuesOf.get(name) || []), ...values]));
  }
  const filters = [...valuesOf].filter(([, values]) => values.size > 1 && values.size <= valuesMax);
  const picks = filters.map(([name, values]) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.autocomplete = "off";
    select.append(new Option(words.any, ""), ...[...values].map((value) => new Option(value, value)));
    label.append(name, select);
    sorting.parentElement.before(label);
    return { name, select };
  });

  const show = () => {
    const wanted = picks.filter(({ select }) => select.value);
    let count = 0;
    for (const { card, soldOut, options } of cards) {
      const fits = wanted.every(({ name, select }) => options.get(name)?.includes(select.value));
      card.hidden = (hiding.checked && soldOut) || !fits;
      count += !card.hidden;
    }
    grid.append(...[...cards].sort(orders[sorting.value]).map(({ card }) => card));
    status.textContent = words.shown.replace("{count}", count).replace("{all}", cards.length);
  };

  const soldOut = cards.filter((card) => card.soldOut).length;
  hiding.parentElement.hidden = !soldOut || soldOut === cards.length;
  controls.addEventListener("change", show);
  controls.hidden = false;
  // Firefox ticks the box again when the page is reloaded.
  if (hiding.checked) show();
})();
