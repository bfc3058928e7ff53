// `npm run build` writes one file for the browser, and a digest of its sources, so that a test can tell whether it
// is stale.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const TARGET = "../scenarios/static/scenarios/editor.js";
const SOURCES = ["package-lock.json", "build.js", "editor.js", "schema.js", "yaml_place.js"];

await build({
  entryPoints: ["editor.js"],
  outfile: TARGET,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  banner: { js: "/* Built by 'npm run build' in frontend/ from the packages @codemirror/* and @lezer/* (MIT licence). */" },
});

const digest = createHash("sha256");
for (const source of SOURCES) digest.update(readFileSync(source));
writeFileSync(`${TARGET}.sources`, `${digest.digest("hex")}\n`);
