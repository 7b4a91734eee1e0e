// A JavaScript diff of two JSON files: node json_diff.cjs FOLDER LIBRARY OLD NEW prints the seconds of parsing both and comparing them, the bytes of the
// delta as JSON text, and the seconds of parsing alone. The best of three rounds, so that the compiler has seen the code. FOLDER: a node_modules.
const { readFileSync } = require("node:fs");
const { join, resolve } = require("node:path");
const { pathToFileURL } = require("node:url");

const [folder, library, oldFile, newFile] = process.argv.slice(2);
const modules = resolve(folder);
const ROUNDS = 3;

const libraries = {
  "fast-json-patch": async () => {
    const { compare } = require(join(modules, "fast-json-patch"));
    return compare;
  },
  jsondiffpatch: async () => {
    const { create } = await import(pathToFileURL(join(modules, "jsondiffpatch/lib/index.js")));
    const differ = create({});
    return (a, b) => differ.diff(a, b);
  },
  microdiff: async () => {
    const { default: diff } = await import(pathToFileURL(join(modules, "microdiff/dist/index.js")));
    return diff;
  },
};

async function main() {
  const compare = await libraries[library]();
  const oldText = readFileSync(oldFile, "utf8"), newText = readFileSync(newFile, "utf8");
  let best = Infinity, parsing = Infinity, delta;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    const a = JSON.parse(oldText), b = JSON.parse(newText);
    const parsed = process.hrtime.bigint();
    delta = compare(a, b);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    if (seconds < best) best = seconds;
    if (Number(parsed - start) / 1e9 < parsing) parsing = Number(parsed - start) / 1e9;
  }
  console.log(best.toFixed(6), Buffer.byteLength(JSON.stringify(delta)), parsing.toFixed(6));
}
main();
