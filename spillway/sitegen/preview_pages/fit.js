// Makes each frame as high as the email in it, also when pictures come later or the window changes.
for (const frame of document.querySelectorAll("iframe")) {
  const fit = () => {
    const borders = frame.offsetHeight - frame.clientHeight;
    frame.style.height = `${frame.contentDocument.documentElement.offsetHeight + borders}px`;
  };
  const watch = () => {
    if (frame.contentDocument.URL === "about:blank") return;
    fit();
    new ResizeObserver(fit).observe(frame.contentDocument.body);
  };
  frame.addEventListener("load", watch);
  if (frame.contentDocument.readyState === "complete") watch();
}
