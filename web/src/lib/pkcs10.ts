/* Keys and certificate requests made in this browser (RFC 2986): the key is WebCrypto's and goes nowhere but into the file that is saved. */
import { bits, context, nothing, octets, oid, pem, sequence, set, unsigned, utf8, type Bytes } from "./der";

export interface KeyKind {
  name: string;
  title: string;
  params: EcKeyGenParams | RsaHashedKeyGenParams;
  sign: AlgorithmIdentifier | EcdsaParams;
  signature: Bytes; /* AlgorithmIdentifier */
  half: number; /* of an ECDSA signature, octets; 0: it is taken as it is */
}

const EXPONENT = Uint8Array.of(1, 0, 1);
const rsa = (bits_: number): KeyKind => ({
  name: `rsa-${bits_}`,
  title: `RSA, ${bits_} bits`,
  params: { name: "RSASSA-PKCS1-v1_5", modulusLength: bits_, publicExponent: EXPONENT, hash: "SHA-256" },
  sign: "RSASSA-PKCS1-v1_5",
  signature: sequence(oid("1.2.840.113549.1.1.11"), nothing()),
  half: 0,
});

export const KEY_KINDS: KeyKind[] = [
  { name: "ec-p256", title: "EC, P-256", params: { name: "ECDSA", namedCurve: "P-256" }, sign: { name: "ECDSA", hash: "SHA-256" }, signature: sequence(oid("1.2.840.10045.4.3.2")), half: 32 },
  { name: "ec-p384", title: "EC, P-384", params: { name: "ECDSA", namedCurve: "P-384" }, sign: { name: "ECDSA", hash: "SHA-384" }, signature: sequence(oid("1.2.840.10045.4.3.3")), half: 48 },
  rsa(3072),
  rsa(2048),
];

/** Those that a profile with these `key.algorithms` takes; without any, all. "rsa-2048+" takes longer ones too. */
export function kindsFor(algorithms: string[]): KeyKind[] {
  if (algorithms.length === 0) return KEY_KINDS;
  return KEY_KINDS.filter((k) =>
    algorithms.some((a) => a === k.name || (/^rsa(-\d+\+)?$/.test(a) && k.name.startsWith("rsa-") && Number(k.name.slice(4)) >= Number(/\d+/.exec(a)?.[0] ?? 0))),
  );
}

export type SanKind = "dns" | "ip" | "email" | "uri";
export interface San {
  kind: SanKind;
  value: string;
}

/** Octets of an address; null where it is none. */
export function addressOctets(text: string): Bytes | null {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const v = text.split(".").map(Number);
    return v.every((n) => n < 256) ? Uint8Array.from(v) : null;
  }
  if (!text.includes(":") || !/^[0-9a-f:]+$/i.test(text)) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const groups = (s: string | undefined) => (s ? s.split(":") : []);
  const [head, tail] = [groups(halves[0]), groups(halves[1])];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...Array<string>(halves.length === 2 ? missing : 0).fill("0"), ...tail];
  if (!all.every((g) => /^[0-9a-f]{1,4}$/i.test(g))) return null;
  return Uint8Array.from(all.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]));
}

/** What a name is, by its form; a text of words that is no name gives null. */
export function guessName(text: string): San | null {
  const value = text.trim();
  if (!value || /\s/.test(value)) return null;
  if (addressOctets(value)) return { kind: "ip", value };
  if (/^[a-z][a-z0-9+.-]*:./i.test(value)) return { kind: "uri", value };
  if (/^[^@]+@[^@]+$/.test(value)) return { kind: "email", value };
  return /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i.test(value) ? { kind: "dns", value } : null;
}

/** The names in a text, in their order; words that are none are left out. */
export const sans = (text: string): San[] =>
  text
    .split(/[\s,]+/)
    .map(guessName)
    .filter((s): s is San => s !== null);

/** The first domain name also becomes the common name, where it fits there (RFC 5280 appendix A: ub-common-name). */
export function commonNameOf(names: San[]): string {
  const first = names.find((n) => n.kind === "dns" && !n.value.startsWith("*."));
  return first && first.value.length <= 64 ? first.value : "";
}

/* GeneralName ::= CHOICE { rfc822Name [1], dNSName [2], uniformResourceIdentifier [6] IA5String, iPAddress [7] OCTET STRING } */
function generalName({ kind, value }: San): Bytes {
  if (kind === "ip") {
    const address = addressOctets(value);
    if (!address) throw new Error(`“${value}” is no address`);
    return context(7, false, address);
  }
  if (/[^\x20-\x7e]/.test(value)) throw new Error(`“${value}” has characters beyond ASCII; write such a domain in its form xn--…`);
  return context(kind === "email" ? 1 : kind === "dns" ? 2 : 6, false, new TextEncoder().encode(value));
}

/* SEQUENCE { r INTEGER, s INTEGER } from the two halves that WebCrypto gives (RFC 3279 2.2.3). */
export const ecdsaDer = (raw: Bytes, half: number): Bytes => sequence(unsigned(raw.subarray(0, half)), unsigned(raw.subarray(half)));

/** CertificationRequestInfo (RFC 2986 4.1): a common name, if any, and subjectAltName in an extensionRequest (RFC 2985 5.4.2). */
export function requestInfo(commonName: string, names: San[], spki: Bytes): Bytes {
  const subject = commonName ? [set(sequence(oid("2.5.4.3"), utf8(commonName)))] : [];
  /* Without a subject the names are critical (RFC 5280 4.2.1.6). */
  const critical = commonName ? [] : [Uint8Array.of(0x01, 0x01, 0xff)];
  const san = sequence(oid("2.5.29.17"), ...critical, octets(sequence(...names.map(generalName))));
  const attributes = names.length > 0 ? [sequence(oid("1.2.840.113549.1.9.14"), set(sequence(san)))] : [];
  return sequence(unsigned(Uint8Array.of(0)), sequence(...subject), spki, context(0, true, ...attributes));
}

export interface Made {
  kind: KeyKind;
  key: string; /* PKCS#8, PEM */
  pair: CryptoKeyPair;
}

export async function makeKey(kind: KeyKind): Promise<Made> {
  const pair = (await crypto.subtle.generateKey(kind.params, true, ["sign", "verify"])) as CryptoKeyPair;
  return { kind, pair, key: pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey))) };
}

export async function makeRequest({ kind, pair }: Made, commonName: string, names: San[]): Promise<string> {
  const info = requestInfo(commonName, names, new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)));
  const raw = new Uint8Array(await crypto.subtle.sign(kind.sign, pair.privateKey, info as BufferSource));
  return pem("CERTIFICATE REQUEST", sequence(info, kind.signature, bits(kind.half ? ecdsaDer(raw, kind.half) : raw)));
}

