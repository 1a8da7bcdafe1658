/* Loading, and the clock that relative times follow. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, type Problem } from "../lib/api";

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

/** Load when `deps` change; what was there stays visible until the new answer is in. `every` seconds: again, while the page is looked at. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: unknown[], every = 0): Loaded<T> {
  const [state, setState] = useState<{ data?: T; problem?: Problem; loading: boolean }>({ loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setState((s) => ({ ...s, loading: true }));
    load(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ data, loading: false }),
      (e) => !abort.signal.aborted && setState((s) => ({ ...s, problem: asProblem(e), loading: false })),
    );
    return () => abort.abort();
  }, [...deps, turn]);
  const reload = useCallback(() => setTurn((t) => t + 1), []);
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
