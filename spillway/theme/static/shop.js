// The picker follows a link to a variant and keeps the size when the colour changes; the waitlist form answers
// in place. Without this script, both work by themselves. What the form says stands in it, in the page's language.
(() => {
  // Pictures of other products wait until a reader comes near: most visitors of a flood never do.
  const related = document.querySelector(".related");
  const show = ([seen], observer) => {
    if (!seen.isIntersecting) return;
    observer.disconnect();
    for (const hidden of related.querySelectorAll("noscript")) hidden.outerHTML = hidden.textContent;
  };
  if (related) new IntersectionObserver(show, { rootMargin: "400px" }).observe(related);

  const form = document.getElementById("waitlist");
  const picker = document.querySelector(".picker");
  const skus = [...picker.querySelectorAll("[type=radio][name=sku]")];
  const labelOf = (radio) => radio?.nextElementSibling.querySelector("i").textContent;
  const picked = () => skus.find((radio) => radio.checked && radio.offsetParent);

  const pick = (radio) => {
    radio.checked = true;
    const option = radio.closest(".next");
    if (option.parentElement !== picker) pick(option.previousElementSibling.previousElementSibling);
  };

  // The days until a launch, on the reader's own calendar. The line of the date has room for them.
  const inDays = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  const now = new Date();
  const today = Date.UTC(now.getFullYear(), now.getMonth(), now.getDate());
  for (const time of document.querySelectorAll(".launch time")) {
    const days = Math.round((Date.parse(time.dateTime) - today) / 864e5);
    if (days >= 0) time.parentElement.append(` · ${inDays.format(days, "day")}`);
  }

  // An email leads to its variant.
  const wanted = new URLSearchParams(location.search).get("sku");
  const found = skus.find((radio) => radio.value === wanted);
  if (found) pick(found);
  picker.classList.add("ready");

  let last = labelOf(picked());
  let byPointer = false;
  let renew = () => {};
  for (const type of ["pointerdown", "keydown"]) {
    picker.addEventListener(type, () => { byPointer = type === "pointerdown"; });
  }
  picker.addEventListener("change", ({ target }) => {
    if (target.type !== "radio") return;
    // Another colour: the same size of it, if there is one.
    if (target.name !== "sku" && !picked()) {
      const same = skus.find((radio) => radio.offsetParent && labelOf(radio) === last);
      if (same) same.checked = true;
    }
    renew();
    const now = picked();
    if (!now) return;
    last = labelOf(now);
    history.replaceState(null, "", `?sku=${encodeURIComponent(now.value)}`);
    // A tap on a size that is sold out leads on to the address; the keys of a keyboard walk over it.
    if (byPointer && target === now && "wait" in now.dataset) {
      form.elements.email.focus({ preventScroll: true });
      form.scrollIntoView({ block: "nearest" });
    }
  });

  if (!form) return;
  const status = form.querySelector("[role=status]");
  const fields = form.querySelector(".fields");
  const heading = form.querySelector("h2");
  const button = fields.querySelector("button");
  const email = form.elements.email;
  const words = form.dataset;
  const question = heading.textContent;

  const say = (text, bad) => {
    status.textContent = text;
    status.classList.toggle("error", Boolean(bad));
  };

  const explain = (problem) => {
    const rest = [];
    let first;
    for (const { field, detail } of problem.errors || []) {
      const place = document.getElementById(`waitlist-${field}-error`);
      if (!place) { rest.push(detail); continue; }
      const control = form.elements[field];
      place.textContent = detail;
      control.setAttribute("aria-invalid", "true");
      first ||= control;
    }
    say(rest.join(" ") || (first ? "" : problem.detail || problem.title), true);
    first?.focus();
  };

  renew = () => {
    say("");
    heading.textContent = question;
    fields.hidden = false;
    for (const added of form.querySelectorAll(".added")) added.remove();
    for (const place of form.querySelectorAll("[id$=-error]")) place.textContent = "";
    for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  };

  // A firewall may answer instead of the API, with any status and a page of its own. Ours is JSON.
  // A page that was kept for months is refused; the token it needs comes with the refusal.
  const post = async (path, body) => {
    const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
    const answer = await fetch(path, { method: "POST", headers, body });
    return { answer, said: (await answer.json().catch(() => 0)) || {} };
  };

  const send = async () => {
    const body = new URLSearchParams(new FormData(form));
    // Nobody sees this field: what is in it was put there by a program that fills in forms.
    body.delete("knot");
    body.set("undo", "1");
    const { answer, said } = await post(form.action, body);
    const fresh = said.again?.find(({ field }) => field === "form_token");
    if (!fresh || form.elements.form_token.value === fresh.value) return { answer, said };
    form.elements.form_token.value = fresh.value;
    return send();
  };

  const fail = () => say(navigator.onLine ? words.busy : words.offline, true);

  const asked = () => {
    const label = picked()?.closest(".chips").querySelector(":checked+.chip+.act b");
    return [document.querySelector("h1"), label].filter(Boolean).map((each) => each.textContent).join(", ");
  };

  const add = (text, act, quiet) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = `button added${quiet ? " quiet" : ""}`;
    made.textContent = text;
    made.addEventListener("click", () => act(made));
    form.append(made);
  };

  // Takes back what was sent by the form as it was then.
  const undoing = (token) => {
    const body = new URLSearchParams(new FormData(form));
    for (const name of [...body.keys()]) if (name !== "email" && name !== "sku") body.delete(name);
    body.set("undo", token);
    return () => post(`${form.action}/undo`, body).catch(() => ({ answer: {}, said: {} }));
  };

  const offerUndo = (undo) => add(words.undo, async (made) => {
    made.disabled = true;
    const { answer, said } = await undo();
    made.disabled = false;
    if (answer.status === 200 && said.status === "undone") {
      renew();
      say(words.undone);
      status.focus();
    } else if (said.status === answer.status && answer.status < 500) {
      made.remove();
      say(said.detail, true);
    } else fail();
  }, true);

  const accept = ({ suggestion, undo: token }) => {
    const undo = token && undoing(token);
    fields.hidden = true;
    heading.textContent = suggestion ? words.slip.replace("{address}", () => suggestion) : words.done;
    say(words.sent.replace("{address}", () => email.value.trim()).replace("{item}", asked));
    // Read out with it, and set apart from it.
    const terms = document.createElement("span");
    terms.textContent = words.terms;
    status.append(" ", terms);
    if (suggestion) {
      add(words.use.replace("{address}", () => suggestion), () => {
        // The address with the slip may be somebody's: it gets no email.
        undo?.();
        email.value = suggestion;
        submit();
      });
    }
    if (undo) offerUndo(undo);
    status.focus();
  };

  const submit = async () => {
    renew();
    button.disabled = true;
    say(words.sending);
    // Nobody knows whether a form without an answer has arrived: it is not sent again unasked.
    const { answer, said } = await send().catch(() => ({ answer: {}, said: {} }));
    button.disabled = false;
    if (answer.status === 202 && said.status === "accepted") accept(said);
    else if (answer.status < 500 && answer.status !== 429 && said.status === answer.status) explain(said);
    else fail();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
})();
