import { render } from "preact";
import { App } from "./app";
import { applyTheme } from "./lib/appearance";

applyTheme();
const root = document.getElementById("console");
if (root) {
  root.textContent = "";
  render(<App />, root);
}
