// The waitlist form answers in place. Without this script, the form works by itself.
// What it says stands in the form, in the page's language.
(() => {
  const form = document.getElementById("waitlist");
  if (!form) return;
  const status = form.querySelector("[role=status]");
  const button = form.querySelector("button");
  const words = form.dataset;

  const say = (text, bad) => {
    status.textContent = text;
    status.classList.toggle("error", Boolean(bad));
  };

  const explain = (problem) => {
    const rest = [];
    let first;
    for (const { field, detail } of problem.errors || []) {
      const place = document.getElementById(`waitlist-${field}-error`);
      const input = form.elements[field];
      const control = input && (input.type ? input : input[0]);
      if (!place) { rest.push(detail); continue; }
      place.textContent = words[field] || detail;
      control?.setAttribute("aria-invalid", "true");
      first ||= control;
    }
    say(rest.join(" ") || (first ? "" : problem.detail || problem.title), true);
    first?.focus();
  };

  const clear = () => {
    say("");
    for (const place of form.querySelectorAll("[id$=-error]")) place.textContent = "";
    for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  };

  // "Sold out" beside a size leads to its box below: tick it on the way.
  document.addEventListener("click", (event) => {
    const id = event.target.closest("a.gone")?.hash.slice(1);
    const box = id && document.getElementById(id);
    if (box?.type === "checkbox") box.checked = true;
  });

  // A firewall may answer instead of the API, with any status and a page of its own. Ours is JSON.
  // A page that was kept for months is refused; the token it needs comes with the refusal.
  const post = async (path, body) => {
    const headers = { Accept: "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body });
    return { answer, told: (await answer.json().catch(() => 0)) || {} };
  };

  const send = async () => {
    const body = new URLSearchParams(new FormData(form));
    // Nobody sees this field: what is in it was put there by a program that fills in forms.
    body.delete("knot");
    body.set("undo", "1");
    const { answer, told } = await post(form.action, body);
    const fresh = told.again?.find(({ field }) => field === "form_token");
    if (!fresh || form.elements.form_token.value === fresh.value) return { answer, told };
    form.elements.form_token.value = fresh.value;
    return send();
  };

  const fail = () => say(navigator.onLine ? words.busy : words.offline, true);

  const asked = () => {
    const inputs = [...form.querySelectorAll("[name=sku]")].filter(({ type, checked }) => type === "hidden" || checked);
    const labels = inputs.map((input) => {
      const place = input.closest("fieldset");
      const one = form.querySelector("[id^=wait-] strong");
      return place ? `${place.querySelector("legend").textContent} ${input.closest("label").textContent}` : one?.textContent;
    });
    return [document.querySelector("h1").textContent, ...labels.filter(Boolean)].join(", ");
  };

  const offerUndo = (undo) => {
    const body = new URLSearchParams(new FormData(form));
    for (const name of [...body.keys()]) if (name !== "email" && name !== "sku") body.delete(name);
    body.set("undo", undo);
    const back = document.createElement("button");
    back.type = "button";
    back.className = "button quiet";
    back.textContent = words.undo;
    back.addEventListener("click", async () => {
      back.disabled = true;
      const { answer, told } = await post(`${form.action}/undo`, body).catch(() => ({ answer: {}, told: {} }));
      back.disabled = false;
      if (answer.status === 200 && told.status === "undone") {
        back.remove();
        form.querySelector(".fields").hidden = false;
        say(words.undone);
        status.focus();
      } else if (told.status === answer.status && answer.status < 500) {
        back.remove();
        say(told.detail, true);
      } else fail();
    });
    form.querySelector(".undo")?.remove();
    back.classList.add("undo");
    form.append(back);
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
    form.querySelector(".undo")?.remove();
    if (form.querySelector("[type=checkbox]") && !form.querySelector(":checked")) {
      return explain({ errors: [{ field: "sku", detail: words.none }] });
    }
    button.disabled = true;
    say(words.sending);
    // Nobody knows whether a form without an answer has arrived: it is not sent again unasked.
    const { answer, told } = await send().catch(() => ({ answer: {}, told: {} }));
    button.disabled = false;
    if (answer.status === 202 && told.status === "accepted") {
      const { suggestion } = told;
      form.querySelector(".fields").hidden = !suggestion;
      const sent = words.sent
        .replace("{address}", () => form.elements.email.value.trim())
        .replace("{item}", asked);
      say((suggestion ? `${words.slip.replace("{address}", () => suggestion)} ` : "") + sent);
      // Read out with it, and set apart from it.
      const terms = document.createElement("span");
      terms.textContent = words.terms;
      status.append(" ", terms);
      if (told.undo) offerUndo(told.undo);
      status.focus();
    } else if (answer.status < 500 && answer.status !== 429 && told.status === answer.status) {
      explain(told);
    } else {
      fail();
    }
  });
})();
