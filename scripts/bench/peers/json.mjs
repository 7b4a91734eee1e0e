// JSON.parse and JSON.stringify: node json.mjs parse|encode DOCUMENT FOLDER COUNT prints the seconds.
import { readFileSync } from "node:fs";

const [work, path] = process.argv.slice(2);
const text = readFileSync(path, "utf8");
const value = work === "encode" ? JSON.parse(text) : null;
const started = process.hrtime.bigint();
const made = work === "encode" ? JSON.stringify(value) : JSON.parse(text);
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
if (!made) throw new Error("nothing was made");
console.log(seconds);
