#!/usr/bin/env node
// iced (its npm package, WebAssembly under node) as a decoder for `segue corpus check` (docs/corpus.md):
//
//     segue corpus check --decoder iced=iced-decoder.mjs debian
//
// The package iced-x86 is looked for in the folder that ICED_X86 names, then where node looks from the current folder
// (`npm install iced-x86`). With --version, prints iced's version, or fails.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

function load() {
  const require = createRequire(join(process.cwd(), "x.cjs"));
  const name = process.env.ICED_X86 ? join(process.env.ICED_X86, "iced_x86.js") : "iced-x86";
  try {
    const file = require.resolve(name);
    return [require(file), JSON.parse(readFileSync(join(file, "..", "package.json"))).version];
  } catch {
    console.error("iced-decoder.mjs: node finds no package iced-x86 (npm install iced-x86, or ICED_X86=FOLDER)");
    process.exit(1);
  }
}

const [iced, version] = load();
if (process.argv.includes("--version")) {
  console.log(version);
  process.exit(0);
}

const formatter = new iced.Formatter(iced.FormatterSyntax.Masm);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.memorySizeOptions = iced.MemorySizeOptions.Always;
formatter.ripRelativeAddresses = true;
formatter.smallHexNumbersInDecimal = false;
formatter.addLeadingZeroToHexNumbers = false;
formatter.usePseudoOps = false;
formatter.showBranchSize = false;
formatter.signedImmediateOperands = false;
formatter.signedMemoryDisplacements = true;
formatter.spaceAfterOperandSeparator = true;

const answers = [];
for (const line of readFileSync(0, "latin1").split("\n")) {
  if (line === "") continue;
  const decoder = new iced.Decoder(64, Buffer.from(line, "hex"), iced.DecoderOptions.MPX);
  decoder.ip = 0n;
  const instruction = decoder.decode();
  // Of string instructions it writes no operands, so there is no more to compare than the length.
  const text = instruction.isStringInstruction ? "" : ` ${formatter.format(instruction)}`;
  answers.push(instruction.isInvalid ? "refused" : `ok ${instruction.length}${text.replace(/^ (ht|hnt) /, " ")}`);
  instruction.free();
  decoder.free();
}
answers.push("");
process.stdout.write(answers.join("\n"));
