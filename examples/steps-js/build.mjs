// Builds dist/pack: a pack directory with the step as a component.
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const { component, imports } = await componentize({
  sourcePath: here("step.js"),
  witPath: here("../../wit"),
  worldName: "provision-step",
  // A step needs neither network, clock, randomness nor standard output.
  disableFeatures: ["http", "fetch-event", "clocks", "random", "stdio"],
});

await rm(here("dist/pack"), { recursive: true, force: true });
await mkdir(here("dist/pack/components"), { recursive: true });
await cp(here("pack.json"), here("dist/pack/pack.json"));
await writeFile(here("dist/pack/components/setup_default.wasm"), component);

console.log(`setup_default.wasm: ${component.length} bytes`);
console.log("imports:", [...new Set(imports.map(([name]) => name))].sort().join(" ") || "none");
