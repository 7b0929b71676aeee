// Loaded before the page is shown, and no module: a click that comes before the modules are there is kept, and done when they are.
{
  const kept = new Set();
  const keep = (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    kept.add(button);
  };
  addEventListener("click", keep, { capture: true });
  addEventListener("DOMContentLoaded", () => {
    removeEventListener("click", keep, { capture: true });
    for (const button of kept) button.click();
  });
}
