// Bundles src/ into the Python package; `node build.js FOLDER` into another folder.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "..", "scene_batch_report", "page");

/** What decides the bundle, so that a test without npm notices an old one. */
function sourcesDigest() {
  const names = ["package.json", "package-lock.json", "build.js"];
  names.push(...readdirSync(join(here, "src")).sort().map((name) => `src/${name}`));
  const digest = createHash("sha256");
  for (const name of names) {
    const text = readFileSync(join(here, name), "utf8").replaceAll("\r\n", "\n");
    digest.update(`${name}\n${text}\n`);
  }
  return digest.digest("hex");
}

/** The licences of what is bundled, which ask to be kept with it. */
function licences() {
  const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  return Object.entries(dependencies).map(([name, version]) => {
    const text = readFileSync(join(here, "node_modules", name, "LICENSE"), "utf8");
    return `/*! ${name} ${version}\n\n${text.trim().replaceAll("*/", "* /")}\n*/`;
  });
}

const banner = `/* made by \`make page\`; sources sha256:${sourcesDigest()} */`;
await build({
  absWorkingDir: here,
  entryPoints: ["src/page.jsx", "src/page.css"],
  outdir: out,
  bundle: true,
  minify: true,
  charset: "utf8",
  format: "iife",
  target: ["es2022", "chrome105", "firefox105", "safari15.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "inline",
  define: { "process.env.NODE_ENV": '"production"' },
  banner: { js: [banner, ...licences()].join("\n"), css: banner },
  logLevel: "warning",
});
for (const name of ["page.js", "page.css"]) {
  const text = readFileSync(join(out, name), "utf8");
  if (/<\/(script|style)/i.test(text)) throw new Error(`${name} would end its element`);
  writeFileSync(join(out, name), `${text.trimEnd()}\n`);
}
