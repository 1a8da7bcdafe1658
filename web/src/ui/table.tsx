/* Tables that become cards on a phone: every cell knows the name of its column. A row leads somewhere through the link in its first cell. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Event, Page } from "../lib/types";
import { asProblem, useLive, type Loaded } from "./hooks";
import { Loading, ProblemBox } from "./parts";
import type { Problem } from "../lib/api";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  /** Narrow screens of a desktop leave it out; a phone shows it. */
  minor?: boolean;
  class?: string;
}

interface TableProps<T> {
  caption: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string;
  href?: (row: T) => string;
}

export function Table<T>({ caption, columns, rows, rowKey, href }: TableProps<T>) {
  return (
    <table>
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          {columns.map((c) => (
            <th key={c.title} scope="col" class={c.minor ? "minor" : ""}>
              {c.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={rowKey(row)} class={href ? "leads" : ""}>
            {columns.map((c, i) => (
              <td key={c.title} data-title={c.title} class={`${c.minor ? "minor" : ""} ${c.class ?? ""}`}>
                {i === 0 && href ? (
                  <a class="row-link" href={href(row)}>
                    {c.cell(row)}
                  </a>
                ) : (
                  c.cell(row)
                )}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export interface Paged<T> extends Loaded<T[]> {
  more: boolean;
  loadMore: () => void;
  loadingMore: boolean;
  /** Something happened since, and taking it in would fold away what was unfolded. */
  outdated: boolean;
}

/** A list that grows by the API's own cursor. A page may be empty while there is more: then the next is fetched at once. */
export function usePages<T>(load: (after: string | undefined, signal: AbortSignal) => Promise<Page<T>>, deps: unknown[], wants?: (event: Event) => boolean): Paged<T> {
  const [rows, setRows] = useState<T[]>();
  const [next, setNext] = useState<string>();
  const [problem, setProblem] = useState<Problem>();
  const [loading, setLoading] = useState(true);
  const [loadingMore, setLoadingMore] = useState(false);
  const [turn, setTurn] = useState(0);
  const [unfolded, setUnfolded] = useState(false);
  const [outdated, setOutdated] = useState(false);
  const quietly = useRef(false);
  useLive(wants, () => {
    if (unfolded) return setOutdated(true);
    quietly.current = true;
    setTurn((t) => t + 1);
  });

  const fetchPage = async (after: string | undefined, signal: AbortSignal): Promise<Page<T>> => {
    const items: T[] = [];
    for (let tries = 0; tries < 20; tries++) {
      const page = await load(after, signal);
      items.push(...page.items);
      after = page.next;
      if (!after || items.length > 0) break;
    }
    return { items, next: after };
  };

  useEffect(() => {
    const abort = new AbortController();
    if (!quietly.current) setLoading(true);
    quietly.current = false;
    fetchPage(undefined, abort.signal).then(
      (page) => {
        if (abort.signal.aborted) return;
        setRows(page.items);
        setNext(page.next);
        setUnfolded(false);
        setOutdated(false);
        setProblem(undefined);
        setLoading(false);
      },
      (e) => {
        if (abort.signal.aborted) return;
        setProblem(asProblem(e));
        setRows(undefined);
        setLoading(false);
      },
    );
    return () => abort.abort();
  }, [...deps, turn]);

  const loadMore = async () => {
    if (!next || loadingMore) return;
    setLoadingMore(true);
    try {
      const page = await fetchPage(next, new AbortController().signal);
      setRows((r) => [...(r ?? []), ...page.items]);
      setNext(page.next);
      setUnfolded(true);
    } catch (e) {
      setProblem(asProblem(e));
    } finally {
      setLoadingMore(false);
    }
  };
  return { data: rows, problem, loading, reload: () => setTurn((t) => t + 1), more: Boolean(next), loadMore, loadingMore, outdated };
}

/** Loading, problem, nothing there, or the table with what leads on. */
export function PagedTable<T>({ paged, empty, ...table }: Omit<TableProps<T>, "rows"> & { paged: Paged<T>; empty: ComponentChildren }) {
  const { data, problem, loading } = paged;
  if (problem) return <ProblemBox problem={problem} onRetry={paged.reload} />;
  if (!data) return <Loading rows={8} />;
  if (data.length === 0 && !paged.more) return <>{empty}</>;
  return (
    <div class={loading ? "table-wrap refreshing" : "table-wrap"} aria-busy={loading}>
      {paged.outdated && (
        <p class="outdated" role="status">
          Something has changed since.{" "}
          <button type="button" class="button small" onClick={paged.reload}>
            Show it
          </button>
        </p>
      )}
      <Table {...table} rows={data} />
      <footer class="table-foot">
        <span class="faint">
          {data.length} shown{paged.more ? "" : ", that is all"}
        </span>
        {paged.more && (
          <button type="button" class="button" disabled={paged.loadingMore} onClick={paged.loadMore}>
            {paged.loadingMore ? "Loading…" : "Show more"}
          </button>
        )}
      </footer>
    </div>
  );
}
