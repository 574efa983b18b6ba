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
  // A page that was kept for months is refused; the stamp it needs comes with the refusal.
  const send = async () => {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const told = (await answer.json().catch(() => 0)) || {};
    const fresh = told.again?.find(({ field }) => field === "stamp");
    if (!fresh || form.elements.stamp.value === fresh.value) return { answer, told };
    form.elements.stamp.value = fresh.value;
    return send();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
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
      say((suggestion ? `${words.slip.replace("{address}", () => suggestion)} ` : "") + words.sent);
      status.focus();
    } else if (answer.status < 500 && answer.status !== 429 && told.status === answer.status) {
      explain(told);
    } else {
      say(words.busy, true);
    }
  });
})();
