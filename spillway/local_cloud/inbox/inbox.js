// Says that emails came in, and shows them when nobody is in the middle of reading the list.
const news = document.getElementById("news");
const shown = Number(news.dataset.count);

async function look() {
  if (!document.hidden) {
    try {
      const emails = await (await fetch("/emails.json")).json();
      if (emails.length !== shown) {
        if (scrollY === 0 && document.activeElement === document.body) return location.reload();
        const link = Object.assign(document.createElement("a"), { href: "/", textContent: "New emails: show them" });
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
