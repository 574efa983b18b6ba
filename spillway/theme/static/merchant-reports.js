// The panels "Traffic", "Reports" and "Order goods" of the merchant's page: read when they are opened, and not before.
// An open "Traffic" is read again each minute, while somebody looks.
document.addEventListener("DOMContentLoaded", () => {
  const language = document.documentElement.lang;
  const words = JSON.parse(document.getElementById("report-words").textContent);
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format;

  const money = (minor, currency) => {
    const format = new Intl.NumberFormat(language, { style: "currency", currency });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  };
  const sums = (amounts) => Object.entries(amounts).map(([currency, minor]) => money(minor || 0, currency)).join(", ") || "–";

  const copy = (template) => document.getElementById(template).content.firstElementChild.cloneNode(true);
  const item = (template, row) => {
    const made = copy(template);
    made.querySelector(".of b").textContent = row.title || row.sku;
    made.querySelector(".variant").textContent = row.title ? row.label : words.gone;
    return made;
  };
  const put = (made, name, text) => { made.querySelector(`.${name} b`).textContent = text; };

  const draw = {
    traffic: ({ requests, timeline, peak, coverage, tables, ...seen }) => {
      if (!requests) return [];
      const { number, exact, fill } = window.merchant;
      const made = copy("visits");
      const text = (name, words) => { made.querySelector(`.${name}`).textContent = words; };
      const bar = (count, step) => (count ? `M${step} 24V${24 - Math.max(1, (24 * count) / peak.requests)}h1V24z` : "");
      made.querySelector("svg").setAttribute("viewBox", `0 0 ${timeline.length} 24`);
      const [all, highest] = made.querySelectorAll("path");
      all.setAttribute("d", `M0 23.5h${timeline.length}v.5H0z${timeline.map(bar).join("")}`);
      highest.setAttribute("d", bar(peak.requests, timeline.indexOf(peak.requests)));
      for (const name of ["visitors", "visits", "views"]) put(made, name, number(seen[name]));
      put(made, "requests", number(requests));
      put(made, "cached", percent(1 - seen.uncached / requests));
      const { logged, counted, share } = coverage;
      const signups = counted ?? logged;
      const uncached = Math.max(0, seen.uncached - logged);
      const amounts = { requests, bytes_sent: seen.bytes_sent, uncached, signups };
      const usd = Object.entries(words.usd).reduce((sum, [name, price]) => sum + price * amounts[name], 0);
      put(made, "bill", new Intl.NumberFormat(language, { style: "currency", currency: "USD", maximumFractionDigits: usd < 1 ? 4 : 2 }).format(usd));
      text("peak", fill(words.peak, { count: number(peak.requests), at: exact.format(new Date(`${peak.at}Z`)) }));
      text("covered", share === null ? words.uncovered : fill(words.covered, { share: percent(share), count: number(counted) }));
      const lists = Object.entries(tables).filter(([, rows]) => rows.length).map(([name, rows]) => {
        const list = copy("counts");
        list.firstElementChild.textContent = words[name];
        list.lastElementChild.append(...rows.map(([what, count]) => {
          const row = document.createElement("div");
          row.append(Object.assign(document.createElement("dt"), { textContent: what }), Object.assign(document.createElement("dd"), { textContent: number(count) }));
          return row;
        }));
        return list;
      });
      return [made, ...lists];
    },
    reports: ({ restocks, counts_clicks: counts }, panel) => {
      const { number, exact } = window.merchant;
      panel.querySelector(".clicks-off").hidden = counts;
      return restocks.map((row) => {
        const made = item("report", row);
        made.querySelector("time").dateTime = new Date(row.opened_at_ms).toISOString();
        made.querySelector("time").textContent = exact.format(row.opened_at_ms);
        put(made, "notified", number(row.notified));
        const share = row.clicks && row.clicks_per_email ? ` (${percent(row.clicks_per_email)})` : "";
        put(made, "clicks", counts || row.clicks ? `${number(row.clicks)}${share}` : "–");
        put(made, "orders", number(row.orders));
        put(made, "units-sold", number(row.units));
        put(made, "revenue", sums(row.revenue_minor));
        put(made, "per-email", sums(row.revenue_per_email_minor));
        return made;
      });
    },
    ordering: ({ variants }) => {
      const { number, fill } = window.merchant;
      return variants.map((row) => {
        const made = item("advice", row);
        put(made, "order", number(row.order_about));
        put(made, "waiting", number(row.waiting));
        put(made, "stock", number(row.stock));
        made.querySelector(".because").textContent = fill(words[row.basis], { share: percent(row.expected / row.waiting) });
        return made;
      });
    },
  };

  const load = async (panel) => {
    const name = panel.dataset.from;
    const heard = panel.querySelector(".heard");
    const list = panel.querySelector(".cards");
    if (!list.children.length) heard.textContent = words.loading;
    try {
      const headers = { Accept: "application/json", "Accept-Language": language };
      if (panel.dataset.etag) headers["If-None-Match"] = panel.dataset.etag;
      const answer = await fetch(`/api/merchant/${name}`, { headers, cache: "no-store", signal: AbortSignal.timeout(20000) });
      if (answer.status === 401) { window.merchant.signedOut(); return; }
      if (answer.status === 304) { if (list.children.length) heard.textContent = ""; return; }
      if (!answer.ok) throw new Error(answer.status);
      const seen = await answer.json();
      const made = draw[name](seen, panel);
      panel.dataset.etag = answer.headers.get("ETag") || "";
      list.replaceChildren(...made);
      heard.textContent = made.length ? "" : words[seen.is_on === false ? "off" : name];
    } catch {
      heard.textContent = words.failed;
    }
  };

  const traffic = document.querySelector("[data-from=traffic]");
  setInterval(() => { if (traffic.open && !document.hidden) load(traffic); }, 60000);
  for (const panel of document.querySelectorAll("details[data-from]")) {
    panel.addEventListener("toggle", () => { if (panel.open) load(panel); });
    document.addEventListener("signedout", () => {
      panel.open = false;
      delete panel.dataset.etag;
      panel.querySelector(".cards").replaceChildren();
    });
  }
});
