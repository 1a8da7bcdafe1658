import assert from "node:assert/strict";
import { test } from "node:test";
import { fromYaml, lineOf, YamlError, type Value } from "../src/lib/from-yaml";
import { toYaml } from "../src/lib/yaml";

const PROFILE = `# what it is for
kind: Profile
name: plant-server
description: "servers: of the # plant"   # said aloud
lifetime: {default: 90d, backdate: 1h}
callers: [principal]
usage:
  key-usage: [digitalSignature,
    keyEncipherment]
  eku:
  - serverAuth
subject:
  allow:
    - attr: CN
      max: 64
    - {attr: O}
san:
  allow: {dns: {suffixes: [plant.example.org], wildcards: true}}
  min: 1
notes: |
  first
    second

  third
short: >-
  one
  line
empty:
approval:
  required: true
  roles: []
`;

test("a profile as people write it", () => {
  const { value, lines } = fromYaml(PROFILE);
  assert.deepEqual(value, {
    kind: "Profile", name: "plant-server", description: "servers: of the # plant", lifetime: { default: "90d", backdate: "1h" }, callers: ["principal"],
    usage: { "key-usage": ["digitalSignature", "keyEncipherment"], eku: ["serverAuth"] }, subject: { allow: [{ attr: "CN", max: 64 }, { attr: "O" }] },
    san: { allow: { dns: { suffixes: ["plant.example.org"], wildcards: true } }, min: 1 }, notes: "first\n  second\n\nthird\n", short: "one line", empty: null,
    approval: { required: true, roles: [] },
  });
  assert.equal(lines.get("/name"), 3);
  assert.equal(lineOf(lines, "/subject/allow/1/attr"), 16);
  assert.equal(lineOf(lines, "/san/allow/dns/no-such"), 18);
  assert.equal(lineOf(lines, "/no-such"), 2);
});

test("what toYaml writes is read again", () => {
  const documents: Value[] = [
    { a: "yes", b: "1", c: "", d: "x: y", e: "# no", f: [], g: {}, h: [[1, 2], [{ a: 1, b: [null] }]], i: -3, j: 1.5, k: "-----BEGIN X-----\nAAAA\n-----END X-----\n", l: " lead", m: "ü \u202e", n: "null", o: false },
    { list: [{ attr: "CN", patterns: ["[a-z]*", "{csr.CN}"] }, "plain text, with commas", "@x", "*x", "- x"], "odd key: x": 1 },
    { "": "empty key", "a b": "c", "1": "2" },
  ];
  for (const d of documents) assert.deepEqual(fromYaml(toYaml(d)).value, d, toYaml(d));
});

test("scalars", () => {
  const { value } = fromYaml("a: 'it''s'\nb: \"\\u00e9\\n\\x41\"\nc: ~\nd: 007\ne: 1e3\nf: 12:30\ng: http://x/y\nh: 99999999999999999999\ni: -5 # five\nj: a#b");
  assert.deepEqual(value, { a: "it's", b: "é\nA", c: null, d: "007", e: "1e3", f: "12:30", g: "http://x/y", h: "99999999999999999999", i: -5, j: "a#b" });
  assert.deepEqual(fromYaml("").value, null);
  assert.deepEqual(fromYaml("---\n- 1\n-\n  - 2\n- - 3\n  - a: 4\n    b: 5\n").value, [1, [2], [3, { a: 4, b: 5 }]]);
});

test("what is not understood is said, with its line", () => {
  const bad: [string, number][] = [
    ["a: 1\n  b: 2", 2], ["a: 1\na: 2", 2], ["a: [1, 2", 1], ["a: {b}", 1], ["a: &x 1", 1], ["a: *x", 1], ["a: !t 1", 1], ["a: \"x", 1], ["a: 1\n---\nb: 2", 2],
    ["\ta: 1", 1], ["a: b: c", 1], ["a:\n  - 1\n b: 2", 3], ["a: 1\nb", 2], ["a: [1] x", 1], ["a: \"\\q\"", 1], [`a: ${"[".repeat(40)}`, 1], ["a: {b: 1, b: 2}", 1],
  ];
  for (const [text, line] of bad)
    assert.throws(() => fromYaml(text), (e: unknown) => e instanceof YamlError && e.line === line, JSON.stringify(text));
});

test("no key reaches into the prototype", () => {
  const { value } = fromYaml("__proto__:\n  polluted: true\nconstructor: {prototype: 1}\nx: {__proto__: 2}");
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.deepEqual(Object.keys(value as object), ["__proto__", "constructor", "x"]);
});
