// The panels "Reports" and "Order goods" of the merchant's page: read when they are opened, and not before.
document.addEventListener("DOMContentLoaded", () => {
  const language = document.documentElement.lang;
  const words = JSON.parse(document.getElementById("report-words").textContent);
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format;

  const money = (minor, currency) => {
    const format = new Intl.NumberFormat(language, { style: "currency", currency });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  };
  const sums = (amounts) => Object.entries(amounts).map(([currency, minor]) => money(minor || 0, currency)).join(", ") || "–";

  const item = (template, row) => {
    const made = document.getElementById(template).content.firstElementChild.cloneNode(true);
    made.querySelector(".of b").textContent = row.title || row.sku;
    made.querySelector(".variant").textContent = row.title ? row.label : words.gone;
    return made;
  };
  const put = (made, name, text) => { made.querySelector(`.${name} b`).textContent = text; };

  const draw = {
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
      const answer = await fetch(`/api/merchant/${name}`, { headers, cache: "no-store", signal: AbortSignal.timeout(20000) });
      if (answer.status === 401) { window.merchant.signedOut(); return; }
      if (!answer.ok) throw new Error(answer.status);
      const made = draw[name](await answer.json(), panel);
      list.replaceChildren(...made);
      heard.textContent = made.length ? "" : words[name];
    } catch {
      heard.textContent = words.failed;
    }
  };

  for (const panel of document.querySelectorAll("details[data-from]")) {
    panel.addEventListener("toggle", () => { if (panel.open) load(panel); });
    document.addEventListener("signedout", () => {
      panel.open = false;
      panel.querySelector(".cards").replaceChildren();
    });
  }
});
