// A plain script, not a module: it runs before the first paint, so that a chosen theme does not flash.
(() => {
  const KEPT = "trtnemo-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  const kept = () => {
    try {
      return localStorage.getItem(KEPT);
    } catch {
      return null; // storage is switched off
    }
  };
  const shown = () => root.dataset.theme || (system.matches ? "dark" : "light");
  if (kept()) root.dataset.theme = kept();

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => (button.textContent = shown() === "dark" ? "Light" : "Dark");
    button.addEventListener("click", () => {
      root.dataset.theme = shown() === "dark" ? "light" : "dark";
      try {
        localStorage.setItem(KEPT, root.dataset.theme);
      } catch {
        // it holds until the page is left
      }
      name();
    });
    system.addEventListener("change", name);
    name();
  });
})();
