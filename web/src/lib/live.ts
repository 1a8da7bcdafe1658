/* What happens in the house, as it happens: one stream for all tabs of the same person, shared between them. A stream that is lost is taken up
 * again where it was; who cannot have one goes on asking from time to time. */
import { ApiError, openStream } from "./api";
import { messages } from "./sse";
import type { Event } from "./types";

export type LiveState = "off" | "connecting" | "live" | "lost";
/** null: something happened that was not told one by one. */
type Listener = (event: Event | null) => void;

const QUIET_MS = 40_000; /* the house says something every 15 seconds */
const WAIT_MS = [500, 1000, 2000, 5000, 10_000, 20_000];
const REFUSED_MS = 60_000;

const listeners = new Set<Listener>();
const watchers = new Set<(state: LiveState) => void>();
let state: LiveState = "off";
let stop: (() => void) | undefined;

export const liveState = (): LiveState => state;

function become(next: LiveState): void {
  if (next === state) return;
  state = next;
  watchers.forEach((w) => w(next));
}

export function onLive(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function onLiveState(watcher: (state: LiveState) => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

const tell = (event: Event | null): void => listeners.forEach((l) => l(event));

type Shared = { state: LiveState } | { event: Event | null } | { hello: true };

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });

/** One connection, until it ends. Returns whether it ever was live. */
async function connection(at: { last: string }, signal: AbortSignal, report: (s: LiveState) => void, event: (e: Event | null) => void): Promise<boolean> {
  const abort = new AbortController();
  const end = () => abort.abort();
  signal.addEventListener("abort", end, { once: true });
  let quiet = setTimeout(end, QUIET_MS);
  let live = false;
  try {
    const response = await openStream(at.last, abort.signal);
    const take = messages((m) => {
      clearTimeout(quiet);
      quiet = setTimeout(end, QUIET_MS);
      if (!m) return;
      if (m.id) at.last = m.id;
      if (m.type === "ready") {
        live = true;
        report("live");
      } else {
        event(m.type === "skipped" ? null : (JSON.parse(m.data) as Event));
      }
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) take(part.value);
  } finally {
    clearTimeout(quiet);
    signal.removeEventListener("abort", end);
    abort.abort();
  }
  return live;
}

/** The tab that holds the stream for the others. */
async function lead(signal: AbortSignal, report: (s: LiveState) => void, event: (e: Event | null) => void): Promise<void> {
  const at = { last: "" };
  let failures = 0;
  report("connecting");
  while (!signal.aborted) {
    let wait = WAIT_MS[Math.min(failures, WAIT_MS.length - 1)]!;
    try {
      if (await connection(at, signal, report, event)) failures = 0;
    } catch (e) {
      if (e instanceof ApiError && (e.problem.status === 401 || e.problem.status === 403)) return report("off");
      if (e instanceof ApiError && e.problem.status >= 400) wait = REFUSED_MS;
    }
    if (signal.aborted) break;
    failures++;
    report("lost");
    await sleep(wait * (0.75 + Math.random() / 2), signal);
  }
}

/** Begin to listen as this person in this tenant; ends what was listened to before. */
export function goLive(principal: string, tenant: string): () => void {
  stop?.();
  const abort = new AbortController();
  const { signal } = abort;
  const name = `touchmark.live/${tenant}/${principal}`;
  const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(name) : null;
  let leading = false;
  const say = (what: Shared) => channel?.postMessage(what);
  const run = () => {
    leading = true;
    return lead(
      signal,
      (s) => (become(s), say({ state: s })),
      (e) => (tell(e), say({ event: e })),
    );
  };
  if (channel)
    channel.onmessage = ({ data }: MessageEvent<Shared>) => {
      if ("hello" in data) {
        if (leading) say({ state });
      } else if (leading) {
        return;
      } else if ("state" in data) {
        become(data.state);
      } else {
        tell(data.event);
      }
    };
  become("connecting");
  /* Where the browser has locks, the tab that has this one leads; when it is closed, the next takes its place. */
  if (channel && navigator.locks) {
    navigator.locks.request(name, { signal }, run).catch(() => {});
    say({ hello: true });
  } else {
    void run();
  }
  stop = () => {
    abort.abort();
    channel?.close();
    become("off");
    stop = undefined;
  };
  return stop;
}
