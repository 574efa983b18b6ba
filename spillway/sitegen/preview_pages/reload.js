// Reloads the page when the shop was built again. Only the preview adds this script; no build has it.
// The page's own build is in the script's address: one that ends before the stream is open is noticed, too.
let seen = new URL(document.currentScript.src).searchParams.get("build") ?? undefined;
new EventSource("/_preview/changes").onmessage = ({ data }) => {
  if (seen !== undefined && seen !== data) location.reload();
  seen = data;
};
