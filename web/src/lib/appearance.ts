/* How the console looks, as the person at this browser wants it; nothing is kept until they say so. */

export type Theme = "system" | "light" | "dark";
const KEY = "touchmark.theme";

export function theme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

export function applyTheme(): void {
  const wanted = theme();
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  dispatchEvent(new Event("themechange"));
}

export function setTheme(wanted: Theme): void {
  try {
    if (wanted === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, wanted);
  } catch {
    /* Storage is switched off: it holds until the page is loaded again. */
  }
  applyTheme();
  if (theme() !== wanted && wanted !== "system") document.documentElement.dataset.theme = wanted;
}
