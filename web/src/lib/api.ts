/* The API of this house: one function that asks, and problems as errors. The token lives in this tab and travels in a header only. */

export interface Problem {
  title: string;
  status: number;
  detail?: string;
  rule?: string;
  field?: string;
  request_id?: string;
}

export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

/** A token of this tab, or, without one, the browser's session: a cookie that no script can read, and what proves that we are its page. */
interface Session {
  token: string;
  csrf: string;
  tenant: string;
}

const KEY = "touchmark.session";
let session: Session | null = read();
let onSignedOut: (why: string) => void = () => {};

function read(): Session | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Partial<Session> | null;
    return found?.token ? { token: found.token, csrf: "", tenant: found.tenant ?? "default" } : null;
  } catch {
    return null;
  }
}

export const currentSession = (): Session | null => session;

export function setSession(next: Session | null): void {
  session = next;
  try {
    if (next?.token) sessionStorage.setItem(KEY, JSON.stringify({ token: next.token, tenant: next.tenant }));
    else sessionStorage.removeItem(KEY);
  } catch {
    /* Storage is switched off: the session lasts until the page is loaded again. */
  }
}

export function whenSignedOut(listener: (why: string) => void): void {
  onSignedOut = listener;
}

export interface Ask {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  query?: Record<string, string | number | undefined>;
  json?: unknown;
  body?: string;
  accept?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const STATUS_WORDS: Record<number, string> = {
  404: "There is nothing at this address",
  413: "The request is too large",
  429: "Too many requests; wait a moment",
  502: "The server in front of the house does not reach it",
};

async function problemOf(response: Response): Promise<Problem> {
  const title = STATUS_WORDS[response.status] ?? `The server answered ${response.status}`;
  try {
    return { title, status: response.status, ...((await response.json()) as object) };
  } catch {
    return { title, status: response.status };
  }
}

async function ask(path: string, { method = "GET", query = {}, json, body, accept, headers: more, signal }: Ask, as: Session | null): Promise<Response> {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== "") search.set(key, String(value));
  const tenant = as && as.tenant !== "default" && as.tenant ? `/tenants/${encodeURIComponent(as.tenant)}` : "";
  const headers: Record<string, string> = { Accept: accept ?? "application/json", ...more };
  if (as?.token) headers.Authorization = `Bearer ${as.token}`;
  else if (as && method !== "GET") headers["X-Touchmark-CSRF"] = as.csrf;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`/api/v1${tenant}${path}${search.size ? `?${search}` : ""}`, {
      method,
      headers,
      body: json !== undefined ? JSON.stringify(json) : (body ?? null),
      signal: signal ?? null,
      cache: "no-store",
      credentials: as?.token ? "omit" : "same-origin",
    });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new ApiError({ title: "The house does not answer", status: 0, detail: "The server cannot be reached. Is it running, and is the network there?" });
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 && as === session && session) {
    setSession(null);
    onSignedOut(problem.detail ?? problem.title);
  }
  throw new ApiError(problem);
}

/** Ask as the one who is signed in. */
export async function api<T>(path: string, how: Ask = {}): Promise<T> {
  const response = await ask(path, how, session);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** With the version that its ETag tells ("0": there is none yet), for a write that undoes nobody else's. */
export async function apiVersioned<T>(path: string, how: Ask = {}): Promise<{ data: T; version: string }> {
  const response = await ask(path, how, session);
  return { data: (await response.json()) as T, version: response.headers.get("ETag")?.replace(/\D/g, "") || "0" };
}

export async function apiText(path: string, how: Ask = {}): Promise<string> {
  return (await ask(path, how, session)).text();
}

/** The stream of events, behind the one of this id ("": from now on). */
export const openStream = (last: string, signal: AbortSignal): Promise<Response> =>
  ask("/events/stream", { accept: "text/event-stream", headers: last ? { "Last-Event-ID": last } : {}, signal }, session);

export interface Me {
  principal: string;
  roles: string[];
  owner_of: string;
  tenant: string;
  version: string;
  tenants: { name: string; title: string }[];
}

/** Try a token; the session begins where it is good. */
export async function signIn(token: string, tenant: string): Promise<Me> {
  const candidate = { token, csrf: "", tenant: tenant || "default" };
  const me = (await (await ask("/whoami", {}, candidate)).json()) as Me;
  setSession(candidate);
  return me;
}

/** What a sign-in at the house answers: a session whose cookie the browser has by now. */
export interface HouseSession {
  id: string;
  principal: string;
  tenant: string;
  method: string;
  peer: string;
  agent: string;
  opened_at: string | null;
  last_at: string | null;
  expires_at: string | null;
  fresh: boolean;
  current: boolean;
  csrf?: string;
}

/** Ask as nobody: to sign in, and to follow an invitation. The browser sends its cookie, if it has one. */
export async function asNobody<T>(path: string, how: Ask = {}, tenant = "default"): Promise<T> {
  return (await (await ask(path, how, { token: "", csrf: "", tenant })).json()) as T;
}

/** From now on the browser's session is ours. Users of the house begin in the default tenant. */
export function adoptSession(s: HouseSession): void {
  setSession({ token: "", csrf: s.csrf ?? "", tenant: s.tenant === "house" ? "default" : s.tenant });
}

/** The session that the browser still has from before, if any. */
export async function findSession(): Promise<boolean> {
  try {
    adoptSession(await asNobody<HouseSession>("/session"));
    return true;
  } catch {
    return false;
  }
}

/** Ends the browser's session at the house; where to go then, if somewhere. A token of this tab is only forgotten. */
export async function signOut(): Promise<string | null> {
  const was = session;
  if (!was || was.token) return null;
  try {
    return (await api<{ logout: string | null }>("/session", { method: "DELETE" })).logout;
  } catch {
    return null;
  }
}

export const hasSession = (): boolean => session !== null && !session.token;

export function enterTenant(tenant: string): void {
  if (session) setSession({ ...session, tenant });
}

export function may(me: Me, ...roles: string[]): boolean {
  return me.roles.some((r) => r === "house-admin" || roles.includes(r));
}

/** A file for the person at the browser. */
export function save(name: string, text: string, type = "text/plain"): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
