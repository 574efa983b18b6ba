// Says that letters came in, and shows them when nobody is in the middle of reading the list.
const news = document.getElementById("news");
const shown = Number(news.dataset.count);

async function look() {
  if (!document.hidden) {
    try {
      const letters = await (await fetch("/letters.json")).json();
      if (letters.length !== shown) {
        if (scrollY === 0 && document.activeElement === document.body) return location.reload();
        const link = Object.assign(document.createElement("a"), { href: "/", textContent: "New letters: show them" });
        news.replaceChildren(link);
        return;
      }
    } catch {
      news.textContent = "The demo has stopped.";
    }
  }
  setTimeout(look, 2000);
}
setTimeout(look, 2000);
