import assert from "node:assert/strict";
import { test } from "node:test";
import { commonName, day, grouped, plural, relative, sentence, slug, tick, typedName, visible } from "../src/lib/format";
import { href, parsePlace } from "../src/lib/router";
import { toYaml } from "../src/lib/yaml";

const NOW = Date.parse("2026-11-21T08:00:00Z");

test("relative: both directions, and the date that means no end", () => {
  assert.equal(relative("2026-11-24T08:00:00Z", NOW), "in 3 days");
  assert.equal(relative("2026-11-21T07:59:00Z", NOW), "1 minute ago");
  assert.equal(relative("2026-11-21T07:59:50Z", NOW), "just now");
  assert.equal(relative("2036-11-30T08:00:00Z", NOW), "in 10 years");
  assert.equal(relative("9999-12-31T23:59:59Z", NOW), "never");
  assert.equal(day("9999-12-31T23:59:59Z"), "never");
});

test("visible: characters that disguise a name are spelt out", () => {
  assert.equal(visible("a\u202egpj.exe\u0000"), "a\\u202egpj.exe\\u0000");
  assert.equal(visible("Müller"), "Müller");
});

test("commonName: from RFC 4514 text, escapes undone", () => {
  assert.equal(commonName("serialNumber=1,CN=web\\, inc,O=x"), "web, inc");
  assert.equal(commonName("O=only"), "O=only");
});

test("small things", () => {
  assert.equal(grouped("0123456789"), "0123 4567 89");
  assert.equal(plural(1, "event"), "1 event");
  assert.equal(sentence("crl.published"), "CRL published");
  assert.equal(tick(Date.parse("2026-11-21T06:00:00Z") / 1000, 21600), "06:00");
});

test("href and parsePlace are each other's inverse", () => {
  const place = { path: ["devices", "a/b %"], query: { tab: "x y" } };
  assert.deepEqual(parsePlace(href(place.path, place.query)), place);
  assert.deepEqual(parsePlace("#/a%zz"), { path: ["a%zz"], query: {} });
});

test("toYaml: nesting, lists, texts that need quotes", () => {
  const value = { name: "x", kind: "Profile", list: [{ a: 1, b: [] }, "yes"], text: "two\nlines\n", duration: "1y", dotted: "802.1ar", empty: {}, on: true };
  assert.equal(
    toYaml(value, ["kind", "name"]),
    'kind: Profile\nname: x\nlist:\n  - a: 1\n    b: []\n  - "yes"\ntext: |\n  two\n  lines\nduration: 1y\ndotted: "802.1ar"\nempty: {}\n"on": true\n',
  );
});

test("slug: a name that the house takes, out of a title", () => {
  assert.equal(slug("What ends soon!"), "what-ends-soon");
  assert.equal(slug("Über 30 Tage (Wien)"), "uber-30-tage-wien");
  assert.equal(slug("…"), "");
  assert.equal(slug("a".repeat(62) + " b"), "a".repeat(62));
});

test("typedName: what a form can ask for", () => {
  assert.equal(typedName("DNS:a.example.org"), "a.example.org");
  assert.equal(typedName("URI:urn:uuid:1"), "urn:uuid:1");
  assert.equal(typedName("otherName:1.3.6.1.5.5.7.8.4:00"), null);
});
