/* Loading, and the clock that relative times follow. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, type Problem } from "../lib/api";
import { liveState, onLive, onLiveState, type LiveState } from "../lib/live";
import type { Event } from "../lib/types";

export interface Loaded<T> {
  data: T | undefined;
  problem: Problem | undefined;
  loading: boolean;
  reload: () => void;
}

export function asProblem(e: unknown): Problem {
  if (e instanceof ApiError) return e.problem;
  return { title: "Something went wrong in the console", status: 0, detail: e instanceof Error ? e.message : String(e) };
}

const GATHER_MS = 300; /* events that come together are answered by one look */
const APART_MS = 2000;

/** Calls back soon after something happened that it wants to hear of; later, where the page is not looked at now. */
export function useLive(wants: ((event: Event) => boolean) | undefined, act: () => void): void {
  const latest = useRef({ wants, act });
  latest.current = { wants, act };
  const listening = wants !== undefined;
  useEffect(() => {
    if (!listening) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let acted = 0;
    let missed = false;
    const now = () => {
      timer = undefined;
      missed = document.visibilityState !== "visible";
      if (missed) return;
      acted = Date.now();
      latest.current.act();
    };
    const hear = (event: Event | null) => {
      if (timer !== undefined || (event && !latest.current.wants?.(event))) return;
      timer = setTimeout(now, Math.max(GATHER_MS, acted + APART_MS - Date.now()));
    };
    const seen = () => document.visibilityState === "visible" && missed && now();
    const deaf = onLive(hear);
    document.addEventListener("visibilitychange", seen);
    return () => {
      deaf();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [listening]);
}

export function useLiveState(): LiveState {
  const [state, setState] = useState(liveState());
  useEffect(() => onLiveState(setState), []);
  return state;
}

/** Events about one of these, by the beginning of their type: about("certificate.", "crl."). */
export const about =
  (...types: string[]) =>
  (event: Event): boolean =>
    types.some((t) => event.type.startsWith(t));

/** Load when `deps` change; what was there stays visible until the new answer is in. `every` seconds: again, while the page is looked at;
 * and after events that it `wants`. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: unknown[], every = 0, wants?: (event: Event) => boolean): Loaded<T> {
  const [state, setState] = useState<{ data?: T; problem?: Problem; loading: boolean }>({ loading: true });
  const [turn, setTurn] = useState(0);
  /* Asked for before the page is painted: on a slow machine a paint takes longer than the answer. */
  useLayoutEffect(() => {
    const abort = new AbortController();
    setState((s) => (s.loading ? s : { ...s, loading: true }));
    load(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ data, loading: false }),
      (e) => !abort.signal.aborted && setState((s) => ({ ...s, problem: asProblem(e), loading: false })),
    );
    return () => abort.abort();
  }, [...deps, turn]);
  const reload = useCallback(() => setTurn((t) => t + 1), []);
  useLive(wants, reload);
  useEffect(() => {
    if (!every) return;
    const timer = setInterval(() => document.visibilityState === "visible" && setTurn((t) => t + 1), every * 1000);
    return () => clearInterval(timer);
  }, [every]);
  return { data: state.data, problem: state.problem, loading: state.loading, reload };
}

/** An action with its own progress and problem: run() while it is not under way already. */
export function useAction<A extends unknown[], T>(action: (...args: A) => Promise<T>): {
  run: (...args: A) => Promise<T | undefined>;
  busy: boolean;
  problem: Problem | undefined;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const running = useRef(false);
  const run = async (...args: A): Promise<T | undefined> => {
    if (running.current) return undefined;
    running.current = true;
    setBusy(true);
    setProblem(undefined);
    try {
      return await action(...args);
    } catch (e) {
      setProblem(asProblem(e));
      return undefined;
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { run, busy, problem, clear: () => setProblem(undefined) };
}

export function useNow(everySeconds = 30): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds]);
  return now;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Touchmark`;
  }, [title]);
}
