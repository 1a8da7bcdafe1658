import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";
import { checkProof, fromBase64, leafOf, parseCheckpoint, rootOf, toBase64, type Proof } from "../src/lib/proof";

/* Browsers have it globally; Node 18 does not. */
if (!globalThis.crypto) Object.defineProperty(globalThis, "crypto", { value: webcrypto });

async function node(left: Uint8Array, right: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.of(1, ...left, ...right)));
}

/** A log of three events, the key that signs it, and the proof of the last: its path is one node long. */
async function small(): Promise<{ proof: Proof; vkey: string }> {
  const salt = toBase64(new Uint8Array(16).fill(7));
  const [a, b, c] = (await Promise.all(["a", "b", "c"].map((e) => leafOf(e, salt)))) as [Uint8Array, Uint8Array, Uint8Array];
  const ab = await node(a, b);
  const body = `log.example/t\n3\n${toBase64(await node(ab, c))}\n`;
  const keys = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", keys.privateKey, new TextEncoder().encode(body)));
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
  const note = `${body}\n— log.example/t ${toBase64(Uint8Array.of(1, 2, 3, 4, ...signature))}\n`;
  return {
    proof: { format: "touchmark-register-proof-v1", event: "c", salt, index: 2, proof: [toBase64(ab)], checkpoint: note },
    vkey: `log.example/t+01020304+${toBase64(Uint8Array.of(1, ...raw))}`,
  };
}

test("checkProof: a true proof holds, signature included", async () => {
  const { proof, vkey } = await small();
  assert.deepEqual((await checkProof(proof, vkey)).map((f) => f.ok), [true, true, true]);
});

test("checkProof: another event, another place, another key do not", async () => {
  const { proof, vkey } = await small();
  const other = await small();
  assert.equal((await checkProof({ ...proof, event: "x" }, vkey))[1]?.ok, false);
  assert.equal((await checkProof({ ...proof, index: 1 }, vkey))[1]?.ok, false);
  assert.equal((await checkProof(proof, other.vkey))[2]?.ok, false);
});

test("rootOf: a path that is too short or too long leads nowhere", async () => {
  const leaf = new Uint8Array(32);
  assert.equal(await rootOf(leaf, 0, 2, []), null);
  assert.equal(await rootOf(leaf, 0, 1, [leaf]), null);
  assert.equal(await rootOf(leaf, 5, 2, [leaf]), null);
  assert.deepEqual(await rootOf(leaf, 0, 1, []), leaf);
});

test("parseCheckpoint: what is no note is null", () => {
  assert.equal(parseCheckpoint("nothing"), null);
  assert.equal(fromBase64("AQI=").length, 2);
});
