/* A register's proof, checked here in the browser (docs/register.md): the event's leaf, its path to the root, the checkpoint's signature. */

export interface Proof {
  format: string;
  event: string;
  salt: string;
  index: number;
  proof: string[];
  checkpoint: string;
}

export interface Checkpoint {
  origin: string;
  size: number;
  root: string;
  body: string;
  signatures: { name: string; value: Uint8Array }[];
}

export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const utf8 = new TextEncoder();

function joined(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts) as BufferSource));
}

/** leaf = SHA-256(0x00 || SHA-256(salt || body)) */
export async function leafOf(event: string, salt: string): Promise<Uint8Array> {
  return sha256(Uint8Array.of(0), await sha256(fromBase64(salt), utf8.encode(event)));
}

/** The root that a leaf and its path lead to (RFC 9162 2.1.3.2); null when the path does not fit. */
export async function rootOf(leaf: Uint8Array, index: number, size: number, path: Uint8Array[]): Promise<Uint8Array | null> {
  if (!(index >= 0 && index < size)) return null;
  let fn = BigInt(index);
  let sn = BigInt(size - 1);
  let hash = leaf;
  for (const node of path) {
    if (sn === 0n) return null;
    if ((fn & 1n) === 1n || fn === sn) {
      hash = await sha256(Uint8Array.of(1), node, hash);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      hash = await sha256(Uint8Array.of(1), hash, node);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n ? hash : null;
}

/** A signed note: text, an empty line, lines "— name base64". */
export function parseCheckpoint(note: string): Checkpoint | null {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0) return null;
  const body = note.slice(0, cut + 1);
  const [origin, size, root] = body.split("\n");
  if (!origin || !/^\d+$/.test(size ?? "") || !root) return null;
  const signatures = note
    .slice(cut + 2)
    .split("\n")
    .map((line) => /^— (\S+) (\S+)$/.exec(line))
    .filter((m) => m !== null)
    .map((m) => ({ name: m[1]!, value: fromBase64(m[2]!) }));
  return { origin, size: Number(size), root, body, signatures };
}

/** true or false; null where this browser has no Ed25519 or the key is another's. `vkey`: "<name>+<key id>+<base64 0x01||key>". */
export async function signatureHolds(checkpoint: Checkpoint, vkey: string): Promise<boolean | null> {
  const encoded = vkey.trim().split("+").slice(2).join("+");
  const key = fromBase64(encoded);
  const signature = checkpoint.signatures.find((s) => s.name === checkpoint.origin);
  if (key.length !== 33 || key[0] !== 1 || !signature || signature.value.length !== 68) return null;
  try {
    const imported = await crypto.subtle.importKey("raw", key.slice(1) as BufferSource, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, signature.value.slice(4) as BufferSource, utf8.encode(checkpoint.body) as BufferSource);
  } catch {
    return null;
  }
}

export interface Finding {
  text: string;
  ok: boolean | null;
}

/** Every step of the check, in words. */
export async function checkProof(proof: Proof, vkey: string): Promise<Finding[]> {
  const checkpoint = parseCheckpoint(proof.checkpoint);
  if (!checkpoint) return [{ text: "The checkpoint cannot be read", ok: false }];
  const leaf = await leafOf(proof.event, proof.salt);
  const root = await rootOf(leaf, proof.index, checkpoint.size, proof.proof.map(fromBase64));
  const holds = root !== null && toBase64(root) === checkpoint.root;
  const signed = await signatureHolds(checkpoint, vkey);
  return [
    { text: `The event and its salt hash to leaf ${proof.index}`, ok: true },
    { text: `${proof.proof.length} hashes lead from the leaf to the root of ${checkpoint.size} events`, ok: holds },
    {
      text: signed === null ? "The signature could not be checked in this browser; touchmark register verify-proof does it" : "The checkpoint is signed by the register's key",
      ok: signed,
    },
  ];
}
