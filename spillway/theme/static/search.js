// Finds products as you type. The index is fetched when the field is first used, and by nobody else.
(() => {
  const form = document.getElementById("search");
  const field = form.elements.q;
  const status = document.querySelector("[role=status]");
  const list = document.querySelector(".found");
  const browse = document.querySelector(".browse");
  const shown = 60;
  let index;

  // "Größe" is found by "grosse" and by "größe": emails without their marks.
  const plain = (text) =>
    text.toLowerCase().replaceAll("ß", "ss").normalize("NFKD").replace(/\p{M}/gu, "");

  const load = () => (index ||= fetch(form.dataset.index)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)))
    .then(({ root, products }) => products.map(([slug, title, more, price, picture]) => ({
      path: `${root}/products/${slug}`, title, price, picture, name: plain(title), all: plain(`${title} ${more}`),
    })))
    .catch((error) => { index = undefined; throw error; }));

  const found = (products, words) => {
    const all = products.filter((each) => words.every((word) => each.all.includes(word)));
    const named = (each) => words.every((word) => each.name.includes(word));
    return [...all.filter(named), ...all.filter((each) => !named(each))];
  };

  const made = (tag, inside, fields) => {
    const element = Object.assign(document.createElement(tag), fields);
    element.append(...inside);
    return element;
  };

  // The card of a listing, without its stock.
  const entry = ({ path, title, price, picture }) => {
    const shown = picture
      ? made("img", [], { src: `/pictures/${picture}`, alt: "", loading: "lazy", width: 320, height: 400 })
      : made("span", [made("span", [title.slice(0, 1)])], { className: "blank", ariaHidden: "true" });
    const amount = price.startsWith("+") ? form.dataset.from.replace("{amount}", price.slice(1)) : price;
    const link = made("a", [shown, made("h2", [title]), made("p", [amount], { className: "price" })], { href: path });
    return made("li", [link], { className: "card" });
  };

  const look = async () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean);
    try {
      const products = await load();
      if (words.join(" ") !== plain(field.value).split(/\s+/).filter(Boolean).join(" ")) return;
      const results = words.length ? found(products, words) : [];
      list.replaceChildren(...results.slice(0, shown).map(entry));
      list.hidden = !results.length;
      browse.hidden = Boolean(results.length);
      const { none, some } = form.dataset;
      status.textContent = !words.length ? "" : results.length ? some.replace("{count}", results.length) : none;
    } catch {
      browse.hidden = false;
      status.textContent = form.dataset.failed;
    }
  };

  field.addEventListener("focus", () => load().catch(() => {}), { once: true });
  field.addEventListener("input", look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    history.replaceState(null, "", `?q=${encodeURIComponent(field.value)}`);
    look();
  });

  const asked = new URLSearchParams(location.search).get("q");
  if (asked) {
    field.value = asked;
    look();
  }
})();
