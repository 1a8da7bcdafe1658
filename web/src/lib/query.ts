/* The search box of the inventory: what was typed, as look-ups and filters that the API has.
 *
 * A word alone is tried as whatever it may be: a serial, a fingerprint, a name, an address, a device. "key:value" says what it is:
 * serial fingerprint spki subject cn san dns ip email uri device · authority profile source status · expires<30d. */

export interface Search {
  /** Exact look-ups, any of which may find it; none: page through everything. */
  lookups: { key: string; value: string }[];
  filters: Record<string, string>;
  /** Words that could not be used, and why. */
  errors: string[];
}

const LOOKUPS = new Set(["serial", "fingerprint", "spki", "subject", "cn", "san", "device"]);
const SAN_KINDS = new Set(["dns", "ip", "email", "uri"]);
const FILTERS = new Set(["authority", "profile", "source"]);
export const STATUSES = ["valid", "revoked", "expired", "all"] as const;
const DURATION: Record<string, number> = { h: 3600, d: 86400, w: 7 * 86400, m: 30 * 86400, y: 365 * 86400 };

const rfc3339 = (ms: number): string => new Date(ms).toISOString().slice(0, 19) + "Z";
const bareHex = (text: string): string => text.replace(/[:\s]/g, "").toLowerCase();
const isHex = (text: string): boolean => /^[0-9a-f]+$/.test(text) && text.length % 2 === 0;

/** Words, where "…" holds one together: subject:"CN=a b" is one. */
export function words(text: string): string[] {
  return (text.match(/(?:"[^"]*"|[^\s"])+/g) ?? []).map((w) => w.replaceAll('"', ""));
}

function guess(word: string): Search["lookups"] {
  const hex = bareHex(word);
  if (isHex(hex) && hex.length === 64) return [{ key: "fingerprint", value: hex }, { key: "spki", value: hex }];
  if (isHex(hex) && hex.length >= 16 && hex.length <= 40) return [{ key: "serial", value: hex }, { key: "device", value: word }];
  if (word.includes("=")) return [{ key: "subject", value: word }];
  const kind = /^\d+\.\d+\.\d+\.\d+$/.test(word) || /^[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*$/i.test(word) ? "ip" : word.includes("@") ? "email"
    : /^[a-z][a-z0-9+.-]*:/i.test(word) ? "uri" : "dns";
  return [{ key: "san", value: `${kind}:${word.toLowerCase()}` }, { key: "cn", value: word }, { key: "device", value: word }];
}

function expires(search: Search, sign: string, value: string, now: number): boolean {
  const span = /^(\d{1,5})([hdwmy])$/.exec(value);
  const date = span ? now + Number(span[1]) * 1000 * DURATION[span[2]!]! : Date.parse(value);
  if (Number.isNaN(date)) return false;
  if (sign === ">") search.filters.expires_after = rfc3339(date);
  else search.filters.expires_before = rfc3339(date);
  if (sign === "<" && span && !search.filters.expires_after) search.filters.expires_after = rfc3339(now);
  return true;
}

export function parseSearch(text: string, now: number): Search {
  const search: Search = { lookups: [], filters: {}, errors: [] };
  const free: string[] = [];
  for (const word of words(text)) {
    const time = /^expires([<>])(.+)$/i.exec(word);
    const pair = /^([a-z]+):(.+)$/i.exec(word);
    const key = pair?.[1]!.toLowerCase() ?? "";
    const value = pair?.[2] ?? "";
    if (time) {
      if (!expires(search, time[1]!, time[2]!, now)) search.errors.push(`“${word}”: write expires<30d or expires<2027-01-31`);
    } else if (LOOKUPS.has(key)) {
      const hex = key === "serial" || key === "fingerprint" || key === "spki";
      search.lookups.push({ key, value: hex ? bareHex(value) : value });
    } else if (SAN_KINDS.has(key)) {
      search.lookups.push({ key: "san", value: `${key}:${value.toLowerCase()}` });
    } else if (FILTERS.has(key)) {
      search.filters[key] = value;
    } else if (key === "status" || key === "state") {
      if ((STATUSES as readonly string[]).includes(value)) search.filters.status = value;
      else search.errors.push(`“${word}”: a status is valid, revoked, expired or all`);
    } else {
      free.push(word);
    }
  }
  if (free.length > 0) {
    const whole = free.join(" ");
    search.lookups.push(...guess(whole));
  }
  return search;
}

/** Where a page through the inventory begins so that what expired before `now` is passed over: ids begin with the month of expiry,
 * counted from 2000. */
export function monthCursor(now: number): string {
  const d = new Date(now);
  const months = (d.getUTCFullYear() - 2000) * 12 + d.getUTCMonth();
  return months.toString(16).padStart(4, "0") + "0".repeat(28);
}

/** The API's parameters for one page of the inventory. */
export function listParameters(search: Search, status: string, now: number): Record<string, string> {
  const { status: _, ...parameters } = search.filters;
  if (status === "valid") {
    parameters.revoked = "false";
    parameters.expires_after ??= rfc3339(now);
  } else if (status === "revoked") {
    parameters.revoked = "true";
  } else if (status === "expired") {
    const limit = rfc3339(now);
    if (!parameters.expires_before || parameters.expires_before > limit) parameters.expires_before = limit;
  }
  return parameters;
}
