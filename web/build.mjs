/* Build the console: node build.mjs OUT - one script, one style sheet, an icon and the page, named by what is in them.
 * OUT/files.json lists them: what name they are asked for by, which file, which type, and whether the name is a hash. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");

const NOT_WELL_FORMED = 3; /* the sources are at fault, not the machine */

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.tsx", "src/styles/console.css"],
  outdir: out,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "esm",
  target: ["es2022", "chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"' },
}).catch((e) => {
  console.error(e.message);
  process.exit(e.errors?.length ? NOT_WELL_FORMED : 1);
});

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const files = [];
const names = {};

function put(name, type, text) {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const extension = extname(name);
  const hashed = `${basename(name, extension)}-${hash}${extension}`;
  writeFileSync(join(out, hashed), text);
  files.push({ path: `/assets/${hashed}`, file: hashed, type, hashed: true });
  return `/assets/${hashed}`;
}

for (const file of result.outputFiles) {
  if (file.path.endsWith(".css")) names.style = put("console.css", "text/css; charset=utf-8", file.contents);
  else names.script = put("console.js", "text/javascript; charset=utf-8", file.contents);
}
names.icon = put("icon.svg", "image/svg+xml", readFileSync(join(here, "src/icon.svg")));
const page = readFileSync(join(here, "src/index.html"), "utf8").replace(/\{\{(\w+)\}\}/g, (_, name) => names[name]);
writeFileSync(join(out, "index.html"), page);
files.push({ path: "/", file: "index.html", type: "text/html; charset=utf-8", hashed: false });
writeFileSync(join(out, "files.json"), JSON.stringify({ files, inputs: Object.keys(result.metafile.inputs) }, null, 2) + "\n");
