// The merchant's dialogs and panels. A dialog keeps one key until it is done, so that a request sent twice acts once.
(() => {
  const start = () => {
    const { merchant } = window;
    if (!merchant) return;
    const root = document.documentElement;
    const language = root.lang;
    const words = { ...merchant.words, ...JSON.parse(document.getElementById("act-words").textContent) };
    const { fill, number } = merchant;
    const rules = new Intl.PluralRules(language);
    const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
    const counted = (name, count, more = {}) => fill(words[name][rules.select(count)] || words[name].other, { count: number(count), ...more });
    const one = (selector, within = document) => within.querySelector(selector);
    const all = (selector, within = document) => [...within.querySelectorAll(selector)];
    const make = (name, text = "", props = {}) => Object.assign(document.createElement(name), { textContent: text, ...props });
    const toast = one(".toast");
    let toastTimer;

    const call = async (path, { body, key, token, method = "POST" } = {}) => {
      const headers = { Accept: "application/json", "Accept-Language": language };
      if (method === "POST") headers["Content-Type"] = typeof body === "string" ? "text/csv" : "application/json";
      if (key) headers["Idempotency-Key"] = key;
      if (token) headers["Spillway-Preview"] = token;
      const sent = method === "POST" ? (typeof body === "string" ? body : JSON.stringify(body || {})) : undefined;
      const answer = await fetch(`/api/merchant/${path}`, { method, headers, body: sent, cache: "no-store" });
      const document = await answer.json();
      if (answer.ok) return document;
      if (answer.status === 401 && document.type?.endsWith("not-signed-in")) merchant.signedOut();
      throw Object.assign(new Error(answer.status), { document });
    };

    const tell = (text, undo) => {
      const [said, button] = toast.children;
      said.textContent = text;
      button.hidden = !undo;
      button.onclick = async () => {
        button.disabled = true;
        try { await undo(); tell(words.undone); changed(); } catch (error) { tell(reason(error)); }
        button.disabled = false;
      };
      toast.hidden = false;
      clearTimeout(toastTimer);
      toastTimer = setTimeout(() => { if (!toast.contains(document.activeElement)) toast.hidden = true; }, undo ? 20000 : 8000);
    };
    const reason = (error) => error.document?.detail || words.offline;
    const newKey = () => crypto.randomUUID();
    // One dialog: steps, errors at their fields, and a key for what its last button does.
    class Dialog {
      constructor(name) {
        this.box = document.getElementById(`do-${name}`);
        this.form = one("form", this.box);
        this.fields = this.form.elements;
        this.steps = all(".step", this.box);
        this.go = one(".go", this.box);
        this.back = one(".back", this.box);
        this.first = this.go.textContent;
        one(".close", this.box).onclick = () => this.box.close();
        this.back.onclick = () => this.at(0);
        this.box.addEventListener("click", (event) => { if (event.target === this.box) this.box.close(); });
        this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
        this.form.addEventListener("input", ({ target }) => this.mark(target.name, ""));
      }
      open(focus) {
        this.key = newKey();
        this.form.reset();
        this.clear();
        this.at(0);
        if (!this.box.open) this.box.showModal();
        focus?.focus();
      }
      at(step) {
        this.step = step;
        this.steps.forEach((part, place) => { part.hidden = place !== step; });
        this.back.hidden = !step;
        this.go.textContent = this.first;
        this.go.disabled = false;
        this.go.classList.remove("danger");
        this.key = newKey();
        this.clear();
        this.arrived?.();
      }
      label(text, enabled = true) { this.go.textContent = text; this.go.disabled = !enabled; }
      mark(name, text) {
        const place = name && document.getElementById(`act-${name}-error`);
        if (!place) return false;
        place.textContent = text;
        const field = this.fields[name];
        if (text) field.setAttribute?.("aria-invalid", "true"); else field.removeAttribute?.("aria-invalid");
        return true;
      }
      clear() {
        all(".error", this.box).forEach((place) => { place.textContent = ""; });
        all("[aria-invalid]", this.box).forEach((field) => field.removeAttribute("aria-invalid"));
      }
      fail(error) {
        const errors = error.document?.errors || [];
        const placed = errors.filter(({ field, detail }) => this.mark(field, detail));
        const others = errors.filter((other) => !placed.includes(other)).map(({ detail }) => detail);
        one(".whole", this.box).textContent = [...(placed.length ? [] : [reason(error)]), ...others].join(" ");
        if (placed.length) this.fields[placed[0].field].focus?.();
      }
      async submit() {
        if (this.busy) return;
        this.busy = true;
        this.form.setAttribute("aria-busy", "true");
        this.clear();
        try { await this.act(); } catch (error) {
          const fresh = error.document?.preview;
          if (fresh) this.renewed(fresh);
          this.fail(error);
        }
        this.busy = false;
        this.form.removeAttribute("aria-busy");
      }
      done(text, undo) { this.box.close(); tell(text, undo); changed(); }
      renewed(preview) { this.key = newKey(); this.show(preview); }
      value(name) { const text = this.fields[name].value.trim(); return text === "" ? null : Number(text); }
    }

    const facts = (list, pairs) => list.replaceChildren(...pairs.map(([name, value]) => {
      const row = make("div");
      row.append(make("dt", name), make("dd", value));
      return row;
    }));
    const stockText = ({ availability, units }) => [words[availability] || availability, units ? number(units) : ""].filter(Boolean).join(" · ");
    const itemText = ({ title, label, sku }) => [title, label].filter(Boolean).join(", ") || sku;
    // ---- Stock of one variant ----
    const stock = new Dialog("stock");
    stock.arrived = () => {
      const action = stock.fields.action.value;
      one(".field", stock.box).hidden = action === "sold_out";
      one("#act-units-hint").hidden = action !== "available";
    };
    stock.form.addEventListener("change", ({ target }) => { if (target.name === "action") stock.arrived(); });
    stock.begin = (row) => {
      stock.row = row;
      one(".about", stock.box).textContent = `${itemText(row)} · ${row.sku}`;
      stock.open();
      const action = row.availability === "InStock" ? "correct" : "available";
      stock.fields.action.value = action;
      stock.fields.units.value = action === "correct" && row.stock !== null ? row.stock : "";
      stock.arrived();
      stock.fields.units.focus();
    };
    stock.body = () => {
      const action = stock.fields.action.value;
      return { sku: stock.row.sku, action, units: action === "sold_out" ? null : stock.value("units") };
    };
    stock.show = (seen) => {
      stock.at(1);
      stock.token = seen.token;
      const { emails, waiting, minutes, change = stock.fields.action.value } = seen;
      facts(one(".seen", stock.box), [
        [words.now, stockText(seen.before)],
        [words.after, stockText(seen.after)],
        [words.waiting, number(waiting)],
        [words.emails, emails ? fill(words.about[rules.select(minutes)] || words.about.other, { count: number(emails), minutes: number(minutes) }) : words.nobody],
      ]);
      const notes = [];
      if (emails && waiting > emails) notes.push(fill(words.more, { count: number(waiting - emails), minutes: number(seen.next_after_min) }));
      if (!emails && waiting && change === "available" && seen.before.availability !== "InStock") notes.push(fill(words.small, { count: number(waiting) }));
      if (change === "sold_out") notes.push(words.stops);
      if (emails && seen.paused) notes.push(fill(words.paused, { reason: seen.paused }));
      one(".note", stock.box).textContent = notes.join(" ");
      stock.label(emails ? counted("email", emails) : words[change]);
      stock.go.focus();
    };
    stock.act = async () => {
      if (!stock.step) { stock.show(await call("stock/preview", { body: stock.body() })); return; }
      const { emails } = await call("stock", { body: stock.body(), key: stock.key, token: stock.token });
      const text = fill(words[`done_${stock.fields.action.value}`], { item: itemText(stock.row) });
      stock.done(emails ? `${text} ${counted("emailing", emails)}` : text);
    };
    // ---- Stock file ----
    const file = new Dialog("file");
    file.show = (seen) => {
      file.at(1);
      file.token = seen.token;
      one(".note", file.box).textContent = counted("changes", seen.changes.length, { unchanged: number(seen.unchanged), emails: number(seen.emails) });
      one(".scroll", file.box).hidden = !seen.changes.length;
      one("tbody", file.box).replaceChildren(...seen.changes.map((change) => {
        const line = make("tr");
        line.append(make("th", change.sku, { scope: "row" }), make("td", stockText(change.before)), make("td", stockText(change.after)), make("td", change.emails ? number(change.emails) : "–", { className: "number" }));
        return line;
      }));
      one(".mistakes", file.box).replaceChildren(...seen.mistakes.map((mistake) => make("li", fill(words.line, mistake))));
      const count = seen.changes.length;
      file.label(!count ? words.nothing : seen.emails ? counted("apply_email", seen.emails) : counted("apply", count), count > 0);
      (count ? file.go : file.back).focus();
    };
    file.act = async () => {
      if (!file.step) {
        const [chosen] = file.fields.file.files;
        if (!chosen) { file.mark("file", words.choose); file.fields.file.focus(); return; }
        const bytes = new Uint8Array(await chosen.arrayBuffer());
        const wide = bytes[0] + bytes[1] === 509 && bytes.length > 1;
        try { file.text = new TextDecoder(wide ? (bytes[0] === 255 ? "utf-16le" : "utf-16be") : "utf-8", { fatal: true }).decode(bytes); } catch { file.mark("file", words.encoding); return; }
        file.show(await call("stock-file/preview", { body: file.text }));
        return;
      }
      const answer = await call("stock-file", { body: file.text, key: file.key, token: file.token });
      const left = answer.mistakes.map((mistake) => fill(words.line, mistake));
      file.done([counted("applied", answer.changed), ...(answer.emails ? [counted("emailing", answer.emails)] : []), ...left].join(" "));
    };
    // ---- Wave policy ----
    const policy = new Dialog("policy");
    policy.changed = () => {
      const mode = policy.fields.mode.value;
      one(".in-waves", policy.box).hidden = mode !== "waves";
      one(".own", policy.box).hidden = mode === "shop";
    };
    policy.form.addEventListener("change", policy.changed);
    policy.begin = async (row) => {
      let known;
      try { known = await call(`wave-policy${row ? `?product=${encodeURIComponent(row.slug)}` : ""}`, { method: "GET" }); } catch (error) { tell(reason(error)); return; }
      policy.product = row ? row.slug : null;
      policy.open();
      one(".about", policy.box).textContent = row ? row.title : words.shop;
      for (const part of [one("#act-mode-shop"), one("[for=act-mode-shop]")]) part.hidden = !row;
      const used = known.product || known.shop;
      for (const name of ["emails_per_unit", "next_after_min", "units_min"]) policy.fields[name].value = used[name] ?? (name === "emails_per_unit" ? 3 : "");
      policy.fields.mode.value = row && !known.product ? "shop" : used.emails_per_unit === null ? "everyone" : "waves";
      policy.changed();
      one("[name=mode]:checked", policy.box).focus();
    };
    const putPolicy = (product, body, key) => call("wave-policy", { body: { product, ...body }, key });
    policy.act = async () => {
      const { product } = policy;
      const mode = policy.fields.mode.value;
      const per = mode === "waves" ? policy.value("emails_per_unit") ?? 0 : null;
      const own = { emails_per_unit: per, next_after_min: policy.value("next_after_min"), units_min: policy.value("units_min") };
      const body = mode === "shop" ? { follow_shop: true } : own;
      const { before } = await putPolicy(product, body, policy.key);
      policy.done(words.saved, () => putPolicy(product, before || (product ? { follow_shop: true } : {}), newKey()));
    };
    // ---- Pause and resume ----
    const pause = new Dialog("pause");
    const pauseFor = (text, key) => call("pause", { body: { reason: text }, key });
    const resume = (key) => call("resume", { key });
    pause.act = async () => {
      await pauseFor(pause.fields.reason.value, pause.key);
      pause.done(words.pausing, () => resume(newKey()));
    };
    const resumeNow = async (key) => {
      const { was_paused: was } = await resume(key);
      tell(words.resumed, was ? () => pauseFor(was, newKey()) : undefined);
    };
    const sendTest = async (key, { dataset }) => { await call(dataset.to.split("/").pop(), { key }); tell(words.testing); };
    // A button that acts at once keeps its key until that is done.
    const press = async (button, act) => {
      button.dataset.key ||= newKey();
      button.disabled = true;
      try { await act(button.dataset.key, button); delete button.dataset.key; changed(); } catch (error) { tell(reason(error)); }
      button.disabled = false;
    };
    // ---- One shopper ----
    const shopper = new Dialog("shopper");
    const [showAll, lift, erase] = all(".doing button", shopper.box);
    shopper.show = (seen) => {
      shopper.at(1);
      shopper.seen = seen;
      const answer = (yes) => (yes ? words.yes : words.no);
      const { suppression } = seen;
      const barred = suppression ? fill(words.since, { reason: words[suppression.reason] || suppression.reason, day: day.format(new Date(suppression.since)) }) : answer(seen.suppressed);
      facts(one(".seen", shopper.box), [[words.address, seen.address], [words.known, answer(seen.known)], [words.entries, number(seen.entries)], [words.suppressed, barred]]);
      one(".waitlists", shopper.box).replaceChildren(...(seen.waitlists || []).map((entry) => {
        const at = entry[`${entry.state}_at_ms`] || entry.signed_up_at_ms;
        const item = make("li");
        item.append(make("b", entry.title || entry.sku), make("span", `${entry.sku} · ${words[entry.state] || entry.state}${at ? ` · ${day.format(at)}` : ""}`));
        return item;
      }));
      showAll.hidden = !seen.known || Boolean(seen.waitlists);
      lift.hidden = !seen.suppressed;
      erase.hidden = !seen.known;
      shopper.back.hidden = true;
      shopper.label(words.other_one);
      (showAll.hidden ? shopper.go : showAll).focus();
    };
    const email = () => shopper.fields.email.value.trim();
    const ask = async (show) => shopper.show(await call("shopper", { body: { email: email(), show } }));
    const second = (what, label, text) => {
      shopper.at(2);
      shopper.what = what;
      one(".note", shopper.steps[2]).textContent = fill(text, { address: shopper.seen.address });
      one(".lifting", shopper.box).hidden = what !== "lift";
      shopper.label(label);
      shopper.go.classList.toggle("danger", what === "erase");
      (what === "lift" ? shopper.fields.because : shopper.back).focus();
    };
    showAll.onclick = () => ask(true).catch((error) => shopper.fail(error));
    lift.onclick = () => second("lift", words.lift, words.lifting);
    erase.onclick = () => second("erase", counted("erase", shopper.seen.entries), words.erasing);
    shopper.back.onclick = () => { if (shopper.step === 2) shopper.show(shopper.seen); else shopper.at(0); };
    shopper.act = async () => {
      if (!shopper.step) { await ask(false); return; }
      if (shopper.step === 1) return void shopper.open(shopper.fields.email);
      const body = { email: email() };
      if (shopper.what === "erase") {
        await call("shopper/erase", { body, key: shopper.key, token: shopper.seen.token });
        shopper.done(words.erased);
      } else {
        await call("shopper/lift", { body: { ...body, because: shopper.fields.because.value, shopper_asked: shopper.fields.shopper_asked.checked }, key: shopper.key });
        shopper.done(words.lifted);
      }
    };
    shopper.box.addEventListener("close", () => { shopper.form.reset(); all(".seen,.waitlists,.note", shopper.box).forEach((list) => list.replaceChildren()); });
    // ---- Panels ----
    const failed = one(".failed");
    const log = one(".log");
    const retryKeys = {};
    const retry = async (queue, button) => {
      retryKeys[queue] ||= newKey();
      button.disabled = true;
      try {
        await call("failed/retry", { body: { queue }, key: retryKeys[queue] });
        delete retryKeys[queue];
        button.textContent = words.retrying;
        setTimeout(changed, 3000);
      } catch (error) { tell(reason(error)); button.disabled = false; }
    };
    const drawFailed = ({ queues }) => {
      const shown = queues.filter((queue) => queue.failed || queue.retry);
      const count = queues.reduce((sum, queue) => sum + queue.failed, 0);
      one(".failing").hidden = !count;
      one(".failing strong").textContent = counted("jobs", count);
      one(".well", failed).textContent = queues.some((queue) => queue.failed) ? "" : words.well;
      one("ul", failed).replaceChildren(...shown.map(({ queue, failed: count, some, retry: last }) => {
        const item = make("li", "", { className: count ? "bad" : "" });
        const text = make("div");
        text.append(make("b", words[queue]), make("span", count ? counted("jobs", count) : words.well));
        for (const job of some) text.append(make("code", Object.entries(job).map(([name, value]) => `${name} ${value}`).join(", ")));
        const underWay = last && last.ended_at_ms === null;
        if (last && !underWay) text.append(make("small", fill(words.retried, { ...last, age: merchant.ago(Math.max(0, Date.now() - last.ended_at_ms) / 1000) })));
        item.append(text);
        if (count && root.dataset.role === "act") {
          const button = make("button", underWay ? words.retrying : words.retry, { type: "button", className: "small", disabled: underWay });
          button.setAttribute("aria-label", fill(words.retry_queue, { queue: words[queue] }));
          button.onclick = () => retry(queue, button);
          item.append(button);
        }
        return item;
      }));
      if (shown.some(({ retry: last }) => last && last.ended_at_ms === null)) later(4000);
    };
    const targets = { sending: "", "the shop": words.shop };
    const drawLog = ({ actions }) => {
      one(".well", log).textContent = actions.length ? "" : words.none;
      one("ol", log).replaceChildren(...actions.map((action) => {
        const item = make("li");
        const what = make("p");
        what.append(make("b", words[`did_${action.action}`] || words[action.action] || action.action), make("span", (action.action === "retry" ? words : targets)[action.target] ?? action.target));
        const change = [action.before, action.after].filter(Boolean).join(" → ").replace(/\b[A-Z]\w+/g, (name) => words[name] || name);
        item.append(what, ...(change ? [make("p", change, { className: "change" })] : []));
        const by = make("p", action.email, { className: "by" });
        by.append(make("time", merchant.exact.format(action.at_ms), { dateTime: new Date(action.at_ms).toISOString() }));
        item.append(by);
        return item;
      }));
    };
    let panelTimer;
    const panels = async () => {
      clearTimeout(panelTimer);
      if (document.hidden || root.dataset.state !== "in") return;
      later(60000);
      try {
        const [jobs, actions] = await Promise.all(["failed", "audit"].map((path) => call(path, { method: "GET" })));
        drawFailed(jobs);
        drawLog(actions);
      } catch { /* The overview says when the shop does not answer. */ }
    };
    const later = (ms) => { clearTimeout(panelTimer); panelTimer = setTimeout(panels, ms); };
    const changed = () => { merchant.refresh(); panels(); };

    document.addEventListener("click", ({ target }) => {
      const more = target.closest?.("tbody .more");
      const row = more && merchant.data?.rows.find(({ sku }) => sku === more.closest("tr").dataset.sku);
      if (row) stock.begin(row);
      switch (target.closest?.("[data-act]")?.dataset.act) {
        case "file": file.open(file.fields.file); break;
        case "policy": policy.begin(null); break;
        case "product-policy": stock.box.close(); policy.begin(stock.row); break;
        case "pause": pause.open(pause.fields.reason); break;
        case "resume": press(target, resumeNow); break;
        case "test": press(target, sendTest); break;
        case "shopper": shopper.open(shopper.fields.email); break;
      }
    });
    let seen = false;
    document.addEventListener("overview", () => { if (!seen) { seen = true; panels(); } });
    document.addEventListener("visibilitychange", panels);
    // No name, and no address of a shopper, stays on the screen of a session that ended.
    document.addEventListener("signedout", () => {
      seen = false;
      toast.hidden = true;
      all("dialog[open]").forEach((box) => box.close());
      all(".failed ul,.log ol,dialog :is(.about,.seen,.note,tbody,.mistakes)").forEach((place) => place.replaceChildren());
    });
  };
  document.addEventListener("DOMContentLoaded", start);
})();
