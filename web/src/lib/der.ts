/* A small DER writer (X.690): what a certificate request needs, and no more. Lengths are the shortest, sets are the caller's to order. */

export type Bytes = Uint8Array;

export function concat(...parts: Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}

function lengthOf(n: number): Bytes {
  if (n < 0x80) return Uint8Array.of(n);
  const octets: number[] = [];
  for (; n > 0; n = Math.floor(n / 256)) octets.unshift(n % 256);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}

export const tlv = (tag: number, ...content: Bytes[]): Bytes => {
  const body = concat(...content);
  return concat(Uint8Array.of(tag), lengthOf(body.length), body);
};

export const sequence = (...v: Bytes[]): Bytes => tlv(0x30, ...v);
export const set = (...v: Bytes[]): Bytes => tlv(0x31, ...v);
export const octets = (v: Bytes): Bytes => tlv(0x04, v);
export const bits = (v: Bytes): Bytes => tlv(0x03, Uint8Array.of(0), v);
export const utf8 = (text: string): Bytes => tlv(0x0c, new TextEncoder().encode(text));
export const nothing = (): Bytes => tlv(0x05);
/** [n] in place of the universal tag; `constructed` where it holds values of its own. */
export const context = (n: number, constructed: boolean, ...v: Bytes[]): Bytes => tlv(0x80 | (constructed ? 0x20 : 0) | n, ...v);

/** A number that is not negative, from its octets, the highest first. */
export function unsigned(v: Bytes): Bytes {
  let from = 0;
  while (from < v.length - 1 && v[from] === 0) from++;
  const rest = v.subarray(from);
  return tlv(0x02, rest.length === 0 || rest[0]! >= 0x80 ? concat(Uint8Array.of(0), rest) : rest);
}

export function oid(dotted: string): Bytes {
  const [a = 0, b = 0, ...more] = dotted.split(".").map(Number);
  const out: number[] = [];
  for (let n of [a * 40 + b, ...more]) {
    const group = [n % 128];
    while ((n = Math.floor(n / 128)) > 0) group.unshift(0x80 | (n % 128));
    out.push(...group);
  }
  return tlv(0x06, Uint8Array.from(out));
}

export function pem(label: string, der: Bytes): string {
  let text = "";
  for (let i = 0; i < der.length; i += 0x8000) text += String.fromCharCode(...der.subarray(i, i + 0x8000));
  return `-----BEGIN ${label}-----\n${btoa(text).replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
}
