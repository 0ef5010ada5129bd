// Node.js: accesses of WebAssembly that leave its memory are caught by V8's SIGSEGV handler.
const path = process.env.PROBE;
const touch = () => path && process.dlopen({exports: {}}, path);
// (memory 1) (func (export "load") (param i32) (result i32) local.get 0 i32.load)
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1,
    7, 8, 1, 4, 108, 111, 97, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11]);
const {load} = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
let traps = 0, sum = 0;
for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 1000; i++) {
        sum += load(4 * i);
        try {
            load(0x7fff0000 + i);
        } catch (error) {
            traps += error instanceof WebAssembly.RuntimeError;
        }
    }
    touch();
    for (let i = 0, kept = []; i < 20000; i++)
        kept[i % 1000] = {i, text: "object " + i};
}
let depth = 0;
const deep = () => { depth++; deep(); };
try {
    deep();
} catch (error) {
    console.log(error.constructor.name, depth > 1000);
}
touch();
console.log("traps", traps, "sum", sum);
