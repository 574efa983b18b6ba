// Reloads the page when the shop was built again. Only the preview adds this script; no build has it.
let seen;
new EventSource("/_preview/changes").onmessage = ({ data }) => {
  if (seen !== undefined && seen !== data) location.reload();
  seen = data;
};
