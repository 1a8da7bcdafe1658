import assert from "node:assert/strict";
import { test } from "node:test";
import { listParameters, monthCursor, parseSearch, words } from "../src/lib/query";

const NOW = Date.parse("2026-11-21T08:00:00Z");

test("words: quotes hold together", () => {
  assert.deepEqual(words('subject:"CN=a b,O=c" x'), ["subject:CN=a b,O=c", "x"]);
});

test("parseSearch: a host name is tried as a name, a common name and a device", () => {
  assert.deepEqual(parseSearch("Web.example.org", NOW).lookups, [
    { key: "san", value: "dns:web.example.org" },
    { key: "cn", value: "Web.example.org" },
    { key: "device", value: "Web.example.org" },
  ]);
});

test("parseSearch: addresses of both families", () => {
  assert.equal(parseSearch("192.0.2.7", NOW).lookups[0]?.value, "ip:192.0.2.7");
  assert.equal(parseSearch("2001:db8::1", NOW).lookups[0]?.value, "ip:2001:db8::1");
});

test("parseSearch: a serial with colons, a fingerprint", () => {
  assert.deepEqual(parseSearch("01:4E:6b:01:46:ee:cd:fc:12:d3:8d:7e:e7:5d:72:2f", NOW).lookups[0], { key: "serial", value: "014e6b0146eecdfc12d38d7ee75d722f" });
  assert.equal(parseSearch("ab".repeat(32), NOW).lookups[0]?.key, "fingerprint");
});

test("parseSearch: keys, filters and times", () => {
  const s = parseSearch("device:SN-1 profile:vpn expires<30d status:revoked", NOW);
  assert.deepEqual(s.lookups, [{ key: "device", value: "SN-1" }]);
  assert.deepEqual(s.filters, { profile: "vpn", expires_before: "2026-12-21T08:00:00Z", expires_after: "2026-11-21T08:00:00Z", status: "revoked" });
  assert.deepEqual(s.errors, []);
});

test("parseSearch: what can't be understood is said", () => {
  assert.equal(parseSearch("expires<soon", NOW).errors.length, 1);
  assert.equal(parseSearch("status:fine", NOW).errors.length, 1);
});

test("monthCursor: months since 2000 lead the id", () => {
  assert.equal(monthCursor(NOW), "0142" + "0".repeat(28));
});

test("listParameters: a status as the API has it", () => {
  const s = parseSearch("", NOW);
  assert.deepEqual(listParameters(s, "valid", NOW), { revoked: "false", expires_after: "2026-11-21T08:00:00Z" });
  assert.deepEqual(listParameters(s, "expired", NOW), { expires_before: "2026-11-21T08:00:00Z" });
  assert.deepEqual(listParameters(s, "all", NOW), {});
});
