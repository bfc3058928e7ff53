// `npm test`: places of the cursor in block style and in brackets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { placeAt } from "./yaml_place.js";

const PHASE = "spec:\n  phases:\n    - name: a\n      actions:\n";
const CASES = [
  ["me|", [], null],
  ["spec:\n  ti|", ["spec"], null],
  [`${PHASE}        - name: x\n          un|`, ["spec", "phases", 0, "actions", 0], null],
  [`${PHASE}      - name: x\n        do:\n          http:\n            met|`, ["spec", "phases", 0, "actions", 0, "do", "http"], null],
  [`${PHASE}    - na|`, ["spec", "phases", 1], null],
  [`${PHASE}        - until: r|`, ["spec", "phases", 0, "actions", 0], "until"],
  ["spec:\n  guards:\n    - probe: {http: {path: /a, m|}}", ["spec", "guards", 0, "probe", "http"], null],
  ["spec:\n  variables:\n    d: {type: i|", ["spec", "variables", "d"], "type"],
  ["metadata:\n  description: |\n    kind: no\n  ta@", ["metadata"], null],
];

for (const [marked, path, key] of CASES) {
  test(marked.split("\n").at(-1).trim(), () => {
    const cursor = marked.includes("@") ? "@" : "|";
    const position = marked.lastIndexOf(cursor);
    const place = placeAt(marked.slice(0, position) + marked.slice(position + 1), position);
    assert.deepEqual({ path: place.path, key: place.key }, { path, key });
  });
}
