// The merchant's overview: polled while somebody looks, drawn in place. Its words stand in the page.
// Other scripts of this page use `window.merchant`; the event "overview" follows each answer, "signedout" the end of a session.
(() => {
  const root = document.documentElement;
  const language = root.lang;
  const everyMs = 3000;
  const slowestMs = 60000;
  const pageRows = 100;
  const rowsMax = 500;
  const known = "merchant-signed-in";
  // Nobody sees the form flash who was signed in a moment ago.
  let remembered = false;
  try { remembered = Boolean(localStorage[known]); } catch { /* No storage, no memory. */ }
  root.dataset.state = remembered ? "starting" : "out";

  const number = new Intl.NumberFormat(language).format;
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "long" });
  const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const stepOf = (seconds) => steps.find(([, size]) => seconds >= size) || steps[3];
  const ago = (seconds) => {
    const [unit, size] = stepOf(seconds);
    return relative.format(-Math.floor(seconds / size), unit);
  };
  const span = (seconds) => {
    const [unit, size] = stepOf(Math.max(1, seconds / 1.5));
    const options = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: unit === "hour" ? 1 : 0 };
    return new Intl.NumberFormat(language, options).format(Math.max(1, seconds / size));
  };
  const inDays = new Intl.NumberFormat(language, { style: "unit", unit: "day", unitDisplay: "long" });
  const days = (count) => (count ? inDays.format(count) : relative.format(0, "day"));
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const start = () => {
    const words = JSON.parse(document.getElementById("words").textContent);
    const get = (id) => document.getElementById(id);
    const overview = get("overview");
    const one = (selector, within = overview) => within.querySelector(selector);
    const form = one(".ask-for");
    const body = one("tbody");
    // A phone shows the table as cards, which takes its roles away: they are named.
    const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TH: "columnheader", TD: "cell" };
    const name = (element) => element.setAttribute("role", roles[element.tagName]);
    const table = body.parentElement;
    for (const element of [table, ...table.querySelectorAll("*")]) if (roles[element.tagName]) name(element);
    const waveList = one(".waves ul");
    const empty = one(".empty");
    const said = get("said");
    const rows = new Map();
    const waves = new Map();
    let asked = pageRows;
    let etag = "";
    let timer;
    let failures = 0;
    let answeredAt = 0;
    let data;
    let turn = 0;

    // Only what changed is written: a poll moves nothing and reads nothing out.
    const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
    const show = (element, visible) => { if (element.hidden === visible) element.hidden = !visible; };
    const set = (element, name, value) => { if (element.getAttribute(name) !== value) element.setAttribute(name, value); };
    const say = (text) => put(said, text);

    const bars = (svg, hours) => {
      const most = Math.max(4, ...hours);
      const bar = (count, hour) => (count ? `M${hour * 4} 24V${24 - Math.max(1.5, (count / most) * 24)}h3V24z` : "");
      const [before, now] = svg.querySelectorAll("path");
      set(before, "d", `M0 23.5h96v.5H0z${hours.slice(0, -1).map(bar).join("")}`);
      set(now, "d", bar(hours.at(-1), hours.length - 1) || "M0 0");
    };

    const picture = (place, url) => {
      if (place.dataset.url === (url || "")) return;
      place.dataset.url = url || "";
      const image = () => Object.assign(document.createElement("img"), { alt: "", width: 40, height: 40, loading: "lazy", src: url });
      place.replaceChildren(...(url ? [image()] : []));
    };

    const badge = (place, name, text) => { set(place, "class", `badge ${name}`); put(place, text); };

    const drawRow = (row, { day, made_at_ms: madeAt }) => {
      let line = rows.get(row.sku);
      if (!line) {
        line = get("row").content.firstElementChild.cloneNode(true);
        for (const element of [line, ...line.cells]) name(element);
        line.cells[0].setAttribute("role", "rowheader");
        line.dataset.sku = row.sku;
        set(one(".more", line), "aria-label", fill(words.actions, { item: [row.title, row.label].filter(Boolean).join(", ") }));
        rows.set(row.sku, line);
      }
      const cell = (name, inside = "span:last-child") => one(`.${name} ${inside}`, line);
      const some = (name, has) => one(`td.${name}`, line).classList.toggle("some", Boolean(has));
      picture(one(".thumb", line), row.picture);
      put(one("th b", line), row.title);
      put(one(".variant", line), row.label);
      put(one(".sku", line), row.sku === row.title ? "" : row.sku);
      if (row.slug && !row.withdrawn) set(one("a", line), "href", `${overview.dataset.products}${row.slug}?sku=${encodeURIComponent(row.sku)}`);
      put(cell("waiting", "b"), number(row.waiting));
      line.classList.toggle("calm", !row.waiting);
      put(cell("pending", "span"), number(row.pending));
      some("pending", row.pending);
      bars(one("svg", line), row.hours);
      put(cell("chart", "span"), number(row.signups_24h));
      const since = row.waiting_since_day;
      put(cell("longest"), since === null ? "" : days(Math.max(0, day - since)));
      some("longest", since !== null);
      const state = row.withdrawn ? "withdrawn" : row.availability;
      badge(one(".badge", line), row.low ? "low" : state, row.low ? words.low : words[state] || state || "");
      put(one(".units", line), row.stock === null || !row.stock ? "" : number(row.stock));
      const last = row.last_wave;
      const emailed = last && fill(words.emailed, { age: ago(Math.max(0, madeAt - last.opened_at_ms) / 1000), count: number(last.notified) });
      put(cell("last"), emailed || "");
      if (last) set(cell("last"), "title", exact.format(last.opened_at_ms));
      some("last", last);
      return line;
    };

    const drawWave = (wave) => {
      let item = waves.get(wave.sku);
      if (!item) waves.set(wave.sku, item = get("wave").content.firstElementChild.cloneNode(true));
      const stat = (name, text) => put(one(`.${name} b`, item), text);
      picture(one(".thumb", item), wave.picture);
      put(one(".of b", item), wave.title);
      put(one(".variant", item), wave.label);
      badge(one(".badge", item), wave.state, words[wave.state]);
      const share = Math.round((100 * wave.notified) / Math.max(1, wave.notified + wave.waiting));
      set(one(".progress", item), "aria-valuenow", String(share));
      set(one(".progress", item), "aria-label", wave.title);
      one(".progress i", item).style.width = `${share}%`;
      const left = wave.next_wave_at_ms ? (wave.next_wave_at_ms - data.made_at_ms) / 1000 : wave.left_s;
      stat("notified", number(wave.notified));
      stat("remaining", number(wave.waiting));
      stat("rate", wave.rate_per_min === null ? "–" : number(Math.round(wave.rate_per_min)));
      stat("left", left === null ? "–" : span(left));
      for (const name of ["bounced", "complained", "unsubscribed"]) {
        stat(name, number(wave[name]));
        one(`.${name}`, item).classList.toggle("some", Boolean(wave[name]));
      }
      return item;
    };

    // Rows keep their place in the page where their order stays, and the focus stays where it is.
    const order = (list, wanted, kept) => {
      const focused = list.contains(document.activeElement) ? document.activeElement : null;
      const stays = new Set(wanted);
      for (const [sku, element] of kept) if (!stays.has(element)) { element.remove(); kept.delete(sku); }
      wanted.forEach((element, place) => {
        if (list.children[place] !== element) list.insertBefore(element, list.children[place] || null);
      });
      if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
    };

    const draw = () => {
      const { totals, rows: found, waves: sent, paused, matched, role } = data;
      root.dataset.role = role;
      const total = (name, count) => put(one(`.totals .${name} b`), number(count));
      total("waiting", totals.waiting);
      total("signups", totals.signups_24h);
      total("pending", totals.pending);
      total("sold-out", totals.sold_out);
      total("emails", totals.emails_today);
      bars(one(".totals svg"), totals.hours);
      if ((paused === null) !== one(".paused").hidden) say(paused === null ? "" : one(".paused strong").textContent);
      show(one(".paused"), paused !== null);
      put(one(".why"), paused || "");
      show(one(".waves"), sent.length > 0);
      order(waveList, sent.map(drawWave), waves);
      order(body, found.map((row) => drawRow(row, data)), rows);
      const isPlain = !form.elements.q.value.trim() && !form.elements.filter.value;
      const isQuiet = isPlain && !totals.waiting && !totals.signups_24h && !totals.pending;
      show(empty, isQuiet || !found.length);
      show(one("table"), found.length > 0);
      put(one("strong", empty), isQuiet ? words.nobody : words.none);
      put(empty.lastElementChild, isQuiet ? words.first : words.other);
      put(one(".matched"), matched ? fill(words.matched, { shown: number(found.length), all: number(matched) }) : "");
      show(one(".further"), found.length < matched && asked < rowsMax);
      document.dispatchEvent(new CustomEvent("overview", { detail: data }));
    };

    const age = () => {
      const seconds = Math.max(0, (Date.now() - answeredAt) / 1000);
      const text = answeredAt ? ago(seconds) : "";
      put(one(".age span"), answeredAt ? fill(words.updated, { age: text }) : words.loading);
      const trouble = one(".trouble");
      show(trouble, failures > 1 || (failures > 0 && !navigator.onLine));
      put(one("strong", trouble), navigator.onLine ? words.failed : words.offline);
      put(one("span", trouble), answeredAt ? fill(words.retrying, { age: text }) : "");
      one(".age").classList.toggle("stale", failures > 0);
    };

    const signedOut = () => {
      clearTimeout(timer);
      const was = root.dataset.state;
      root.dataset.state = "out";
      try { delete localStorage[known]; } catch { /* No storage, no memory. */ }
      for (const kept of [rows, waves]) kept.clear();
      body.replaceChildren();
      waveList.replaceChildren();
      data = undefined;
      etag = "";
      document.dispatchEvent(new Event("signedout"));
      if (was === "out") return;
      const over = one(".over", document);
      over.textContent = over.dataset.over;
      get("merchant-email").focus();
    };

    const address = () => {
      const query = new URLSearchParams();
      const words = form.elements.q.value.trim();
      if (words) query.set("q", words);
      if (form.elements.filter.value) query.set("filter", form.elements.filter.value);
      if (asked !== pageRows) query.set("rows", asked);
      return query;
    };

    const again = (ms) => { clearTimeout(timer); timer = setTimeout(poll, ms); };

    const poll = async () => {
      clearTimeout(timer);
      if (document.hidden) return;
      const mine = ++turn;
      let wait = everyMs;
      try {
        const headers = { Accept: "application/json", "Accept-Language": language };
        if (etag) headers["If-None-Match"] = etag;
        const answer = await fetch(`/api/merchant/overview?${address()}`, { headers, cache: "no-store", signal: AbortSignal.timeout(20000) });
        if (mine !== turn) return;
        if (answer.status === 401) { signedOut(); return; }
        if (answer.status === 503 && answer.headers.get("Retry-After") === "1") { again(1000); return; }
        if (answer.status !== 304) {
          if (!answer.ok) throw new Error(answer.status);
          data = await answer.json();
          if (mine !== turn) return;
          etag = answer.headers.get("ETag") || "";
        }
        if (failures > 1) say(words.back);
        failures = 0;
        answeredAt = Date.now();
        if (root.dataset.state !== "in") {
          root.dataset.state = "in";
          try { localStorage[known] = "1"; } catch { /* No storage, no memory. */ }
        }
        if (answer.status !== 304) draw();
      } catch {
        if (mine !== turn) return;
        failures += 1;
        wait = Math.min(slowestMs, everyMs * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
        if (failures === 2) say(navigator.onLine ? words.failed : words.offline);
      }
      age();
      again(wait);
    };

    const ask = () => {
      etag = "";
      const query = address();
      query.delete("rows");
      history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
      poll();
    };

    const wanted = new URLSearchParams(location.search);
    form.elements.q.value = wanted.get("q") || "";
    const filter = [...form.elements.filter].find(({ value }) => value === (wanted.get("filter") || ""));
    if (filter) filter.checked = true;
    let typing;
    form.elements.q.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => { asked = pageRows; ask(); }, 250);
    });
    form.addEventListener("change", ({ target }) => { if (target.name === "filter") { asked = pageRows; ask(); } });
    form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
    one(".further").addEventListener("click", () => { asked += pageRows; ask(); });
    document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else poll(); });
    for (const type of ["online", "offline"]) addEventListener(type, () => { if (type === "online") poll(); else age(); });
    setInterval(() => { if (!document.hidden) age(); }, 1000);

    window.merchant = { words, get data() { return data; }, refresh: ask, signedOut, say, number, ago, span, exact, fill };
    if (root.dataset.state === "starting") age();
    poll();
  };

  document.addEventListener("DOMContentLoaded", start);
})();
