import assert from "node:assert/strict";
import { test } from "node:test";
import { oid, pem, sequence, tlv, unsigned } from "../src/lib/der";
import { addressOctets, ecdsaDer, guessName, kindsFor, KEY_KINDS, makeKey, makeRequest, requestInfo } from "../src/lib/pkcs10";

const hex = (v: Uint8Array): string => Buffer.from(v).toString("hex");
const octets = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

test("lengths, numbers and identifiers are the shortest", () => {
  assert.equal(hex(tlv(0x04, new Uint8Array(127))).slice(0, 4), "047f");
  assert.equal(hex(tlv(0x04, new Uint8Array(128))).slice(0, 6), "048180");
  assert.equal(hex(tlv(0x04, new Uint8Array(300))).slice(0, 8), "0482012c");
  assert.equal(hex(unsigned(octets("00"))), "020100");
  assert.equal(hex(unsigned(octets("000080"))), "02020080");
  assert.equal(hex(unsigned(octets("0000007f"))), "02017f");
  assert.equal(hex(unsigned(new Uint8Array(0))), "020100");
  assert.equal(hex(oid("1.2.840.113549.1.9.14")), "06092a864886f70d01090e");
  assert.equal(hex(oid("2.5.29.17")), "0603551d11");
  assert.equal(hex(ecdsaDer(octets("0001" + "ff02"), 2)), "3008020101020300ff02");
});

test("a request's text, octet by octet", () => {
  const spki = sequence();
  const info = requestInfo("ü", [{ kind: "dns", value: "a.b" }, { kind: "ip", value: "192.0.2.7" }, { kind: "email", value: "x@y" }, { kind: "uri", value: "urn:x" }], spki);
  assert.equal(
    hex(info),
    "3049" + "020100" + "300d310b3009" + "0603550403" + "0c02c3bc" + "3000" + "a033" + "3031" + "06092a864886f70d01090e" + "3124" + "3022" + "3020" + "0603551d11" + "0419" + "3017" + "8203612e62" + "8704c0000207" + "8103784079" + "860575726e3a78",
  );
  const bare = hex(requestInfo("", [{ kind: "dns", value: "a.b" }], spki));
  assert.ok(bare.includes("0603551d11" + "0101ff"), "the only names are critical");
  assert.equal(hex(requestInfo("x", [], spki)).slice(-4), "a000");
  assert.throws(() => requestInfo("", [{ kind: "dns", value: "bücher.example" }], spki), /xn--/);
});

test("addresses", () => {
  assert.equal(hex(addressOctets("192.0.2.7")!), "c0000207");
  assert.equal(hex(addressOctets("2001:db8::1")!), "20010db8000000000000000000000001");
  assert.equal(hex(addressOctets("::")!), "00".repeat(16));
  for (const wrong of ["256.0.0.1", "1.2.3", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8::", "g::", "12345::", "x"]) assert.equal(addressOctets(wrong), null, wrong);
});

test("names by their form", () => {
  for (const [text, kind] of [["www.example.org", "dns"], ["*.example.org", "dns"], ["pump-7", "dns"], ["192.0.2.7", "ip"], ["::1", "ip"], ["a@example.org", "email"], ["urn:dev:7", "uri"], ["https://x/", "uri"]])
    assert.equal(guessName(text!)?.kind, kind, text);
  for (const text of ["", "two words", "-a.example", "a..b", "ü.example"]) assert.equal(guessName(text), null, text);
});

test("keys that a profile takes", () => {
  assert.deepEqual(kindsFor(["ec-p256", "rsa-3072+"]).map((k) => k.name), ["ec-p256", "rsa-3072"]);
  assert.deepEqual(kindsFor([]), KEY_KINDS);
  assert.deepEqual(kindsFor(["ml-dsa-65"]), []);
});

test("a request is signed by its key", async () => {
  for (const name of ["ec-p256", "ec-p384", "rsa-2048"]) {
    const made = await makeKey(KEY_KINDS.find((k) => k.name === name)!);
    assert.match(made.key, /^-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n$/);
    const text = await makeRequest(made, "pump-7", [{ kind: "dns", value: "pump-7.example.org" }]);
    assert.match(text, /^-----BEGIN CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE REQUEST-----\n$/);
  }
});

test("PEM has lines of 64", () => {
  assert.equal(pem("X", new Uint8Array(48)), `-----BEGIN X-----\n${"A".repeat(64)}\n-----END X-----\n`);
  assert.equal(pem("X", new Uint8Array(49)), `-----BEGIN X-----\n${"A".repeat(64)}\nAA==\n-----END X-----\n`);
});
