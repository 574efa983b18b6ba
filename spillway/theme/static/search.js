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
    .then(({ root, products }) => products.map(([slug, title, more]) =>
      ({ path: `${root}/products/${slug}`, title, name: plain(title), all: plain(`${title} ${more}`) })))
    .catch((error) => { index = undefined; throw error; }));

  const found = (products, words) => {
    const all = products.filter((each) => words.every((word) => each.all.includes(word)));
    const named = (each) => words.every((word) => each.name.includes(word));
    return [...all.filter(named), ...all.filter((each) => !named(each))];
  };

  const entry = ({ path, title }) => {
    const link = document.createElement("a");
    link.href = path;
    link.textContent = title;
    const item = document.createElement("li");
    item.append(link);
    return item;
  };

  const look = async () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean);
    try {
      const products = await load();
      if (words.join(" ") !== plain(field.value).split(/\s+/).filter(Boolean).join(" ")) return;
      const results = words.length ? found(products, words) : [];
      list.replaceChildren(...results.slice(0, shown).map(entry));
      list.hidden = !results.length;
      browse.hidden = Boolean(words.length);
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
