/* Times, serials and numbers as people read them. Pure: `now` is handed in where it matters. */

const NEVER = "9999-12-31T23:59:59Z";
const UNITS: [string, number][] = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

export const isNever = (time: string | null | undefined): boolean => time === NEVER;

/** "in 3 days", "2 hours ago", "just now"; the largest unit of which there is at least one (months and years: two). */
export function relative(time: string, now: number): string {
  if (isNever(time)) return "never";
  const seconds = Math.round((Date.parse(time) - now) / 1000);
  const distance = Math.abs(seconds);
  for (const [unit, length] of UNITS) {
    const floor = unit === "year" || unit === "month" ? 2 * length : length;
    if (distance < floor) continue;
    const n = Math.floor(distance / length);
    const text = `${n} ${unit}${n === 1 ? "" : "s"}`;
    return seconds > 0 ? `in ${text}` : `${text} ago`;
  }
  return seconds > 5 ? "in a moment" : "just now";
}

const two = (n: number): string => String(n).padStart(2, "0");

/** "2026-11-21", in UTC, as certificates have it. */
export function day(time: string | null | undefined): string {
  if (!time) return "–";
  return isNever(time) ? "never" : time.slice(0, 10);
}

/** "2026-11-21 07:23:26", in UTC. */
export function moment(time: string | null | undefined): string {
  if (!time) return "–";
  return isNever(time) ? "never" : time.slice(0, 19).replace("T", " ");
}

/** "Sat 21 Nov" or "14:00" for the axis of a chart, in UTC. */
export function tick(unix: number, step: number): string {
  const d = new Date(unix * 1000);
  if (step < 86400 && d.getUTCHours() !== 0) return `${two(d.getUTCHours())}:00`;
  return d.toLocaleDateString("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });
}

export function count(n: number): string {
  return n.toLocaleString("en-US").replaceAll(",", "\u202f");
}

/** "40 ms", "2.5 s", "12 min", "3 h", "2 days". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 48 * 3_600_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} days`;
}

export function plural(n: number, one: string, many = one + "s"): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Hex in groups of four, for the eye; copying takes the whole. */
export function grouped(hex: string): string {
  return hex.replace(/(.{4})(?=.)/g, "$1 ");
}

export function shortHex(hex: string, head = 8, tail = 6): string {
  return hex.length > head + tail + 1 ? `${hex.slice(0, head)}…${hex.slice(-tail)}` : hex;
}

/** Control and direction-changing characters of foreign names, made visible, so that a name cannot disguise itself. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** The same for a text of several lines. */
export const visibleLines = (text: string): string => text.split("\n").map(visible).join("\n");

/** The value of the first CN of an RFC 4514 name, or the name itself. */
export function commonName(subject: string): string {
  const found = /(?:^|,|\+)CN=((?:\\.|[^,+\\])*)/.exec(subject);
  return found?.[1] ? found[1].replace(/\\([0-9a-fA-F]{2})|\\(.)/g, (_, hex, c) => c ?? String.fromCharCode(parseInt(hex, 16))) : subject;
}

/** "certificate.issued" → "Certificate issued", "crl.published" → "CRL published". */
export function sentence(type: string): string {
  const words = type.replace(/[._-]+/g, " ").replace(/\b(crl|ocsp|ca|api|tls)\b/g, (word) => word.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** "What ends soon!" → what-ends-soon */
export const slug = (title: string): string =>
  title
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63)
    .replace(/-+$/, "");

/** "DNS:a.example" → "a.example"; names that cannot be typed, such as a hardware module's, give null. */
export const typedName = (shown: string): string | null => /^(?:dns|ip|email|uri):(.+)$/is.exec(shown)?.[1] ?? null;
