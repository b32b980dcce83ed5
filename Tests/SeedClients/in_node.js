// Runs a browser's script in Node: what it declares at the top is global, as in a page, and each line of standard
// input is evaluated among it.
const fs = require('fs');
const readline = require('readline');
const vm = require('vm');

globalThis.require = require;
globalThis.WebSocket = require('ws');
globalThis.crypto ??= require('crypto').webcrypto;

const file = process.argv[2];
vm.runInThisContext(fs.readFileSync(file, 'utf8'), { filename: file });
readline.createInterface({ input: process.stdin }).on('line', (line) => vm.runInThisContext(line));
