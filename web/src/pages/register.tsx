/* The register: its newest checkpoint, whether all of it holds, and what stands in it. */
import { useEffect, useState } from "preact/hooks";
import { api, apiText, may } from "../lib/api";
import { count, plural } from "../lib/format";
import { parseCheckpoint } from "../lib/proof";
import { href, replaceQuery } from "../lib/router";
import type { Event, EventPage, Status } from "../lib/types";
import { EventList } from "../ui/events";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Chips, Copy, Empty, Facts, Head, Hex, Loading, Notice, Panel, ProblemBox, Time } from "../ui/parts";
import type { PageProps } from ".";

const PAGE = 50;
const TYPES: [string, string][] = [
  ["", "All"],
  ["certificate.issued", "Issued"],
  ["certificate.revoked", "Revoked"],
  ["enrollment.", "Refused, waiting"],
  ["device.", "Devices"],
  ["resource.", "Resources"],
  ["token.", "Tokens"],
  ["crl.", "CRLs"],
];

interface Report {
  ok: boolean;
  events?: number;
  certificates?: number;
  checkpoints?: number;
  chain_seq?: number;
  chain_gaps?: number;
  erased?: number;
  rule?: string;
  field?: string;
  detail?: string;
}

function Verify() {
  const [report, setReport] = useState<Report>();
  const verify = useAction(async () => {
    setReport(undefined);
    setReport(await api<Report>("/register/verify", { method: "POST" }));
  });
  return (
    <Panel
      title="Does it hold?"
      aside={
        <button type="button" class="button small" disabled={verify.busy} onClick={() => verify.run()}>
          <Icon name="trust" />
          {verify.busy ? "Verifying…" : "Verify now"}
        </button>
      }
    >
      {verify.problem && <ProblemBox problem={verify.problem} />}
      {!report && !verify.problem && <p class="faint">Everything is computed again from the store: each event's commitment, every root and signature, every certificate's event, the signer's chain.</p>}
      {report?.ok && (
        <Notice tone="good">
          <p>
            <strong>The register is whole.</strong> {plural(report.events ?? 0, "event")}, {plural(report.certificates ?? 0, "certificate")}, {plural(report.checkpoints ?? 0, "checkpoint")} and the signer's chain agree.
          </p>
          {Boolean(report.erased) && <p>{plural(report.erased ?? 0, "body", "bodies")} erased by right; their leaves stand.</p>}
        </Notice>
      )}
      {report && !report.ok && (
        <Notice tone="bad">
          <p>
            <strong>The register does not hold.</strong> {report.detail}
          </p>
          <p class="small">
            {report.rule} {report.field}
          </p>
        </Notice>
      )}
    </Panel>
  );
}

function CheckpointPanel() {
  const note = useLoad((signal) => apiText("/register/checkpoint", { accept: "text/plain", signal }), [], 20, () => true);
  const status = useLoad((signal) => api<Status>("/status", { signal }), [], 20, () => true);
  const key = useLoad((signal) => api<{ key: string }>("/register/key", { signal }), []);
  if (note.problem && !note.data) return <Panel title="Checkpoint">{note.problem.status === 404 ? <p class="faint">{note.problem.detail}</p> : <ProblemBox problem={note.problem} onRetry={note.reload} />}</Panel>;
  if (!note.data) return <Panel title="Checkpoint"><Loading rows={3} /></Panel>;
  const checkpoint = parseCheckpoint(note.data);
  return (
    <Panel title="Checkpoint" aside={<Copy text={note.data} label="Copy the signed note" />}>
      <Facts
        of={[
          checkpoint && ["Covers", plural(checkpoint.size, "event")],
          status.data && ["Signed", <Time at={status.data.register.checkpoint_at} />],
          checkpoint && ["Origin", checkpoint.origin],
          checkpoint && ["Root", <Hex value={checkpoint.root} />],
          key.data && ["Key", <Hex value={key.data.key} />],
        ]}
      />
    </Panel>
  );
}

/** Without a filter the newest come first; with one the API goes up from the beginning. */
function useEvents(type: string, subject: string) {
  const [older, setOlder] = useState<Event[]>([]);
  const [cursor, setCursor] = useState<number | null>();
  const filtered = Boolean(type || subject);
  const page = async (at: number | undefined, signal?: AbortSignal): Promise<{ items: Event[]; next: number | null }> => {
    if (filtered) {
      let from: number | undefined = at ?? 0;
      const items: Event[] = [];
      for (let tries = 0; tries < 30 && from !== undefined && items.length < PAGE; tries++) {
        const answer: EventPage = await api<EventPage>("/register/events", { query: { type, subject, from, limit: PAGE }, signal });
        items.push(...answer.items);
        from = answer.next;
      }
      return { items, next: from ?? null };
    }
    const end = at ?? (await api<Status>("/status", { signal })).counts.events;
    const from = Math.max(0, end - PAGE);
    if (end === 0) return { items: [], next: null };
    const answer = await api<EventPage>("/register/events", { query: { from, limit: end - from }, signal });
    return { items: answer.items.reverse(), next: from > 0 ? from : null };
  };
  const first = useLoad(
    async (signal) => {
      const found = await page(undefined, signal);
      setOlder([]);
      setCursor(found.next);
      return found.items;
    },
    [type, subject],
    0,
    (e) => older.length === 0 && e.type.startsWith(type) && (!subject || e.subject === subject),
  );
  const more = useAction(async () => {
    if (cursor === null || cursor === undefined) return;
    const found = await page(cursor);
    setOlder((o) => [...o, ...found.items]);
    setCursor(found.next);
  });
  return { first, events: [...(first.data ?? []), ...older], more, hasMore: cursor !== null && cursor !== undefined, filtered };
}

export function RegisterPage({ place, me }: PageProps) {
  useTitle("Register");
  const type = place.query.type ?? "";
  const subject = place.query.subject ?? "";
  const [text, setText] = useState(subject);
  useEffect(() => setText(subject), [subject]);
  const { first, events, more, hasMore, filtered } = useEvents(type, subject);
  const problem = first.problem ?? more.problem;
  return (
    <>
      <Head title="Register" lead="Everything that happened, in a log that can only grow. Anyone who has its key can check a proof without asking us." />
      <div class="columns">
        <CheckpointPanel />
        {may(me, "admin", "operator", "auditor") && <Verify />}
      </div>
      <form
        class="filter"
        role="search"
        aria-label="Events"
        onSubmit={(e) => {
          e.preventDefault();
          const value = text.trim();
          replaceQuery(place, { subject: /^[0-9a-f]{32}$/i.test(value) ? `certificate/${value.toLowerCase()}` : value || undefined });
        }}
      >
        <div class="search wide">
          <Icon name="search" />
          <input type="search" value={text} aria-label="Search events by subject" placeholder="What it is about: certificate/014e6b…, device/SN-4711, authority/root" spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} />
          <button type="submit" class="button">
            Search
          </button>
        </div>
        <Chips label="Type" value={type} options={TYPES} onChange={(t) => replaceQuery(place, { type: t || undefined })} />
      </form>
      <Panel title={filtered ? "Events, oldest first" : "Events, newest first"}>
        {problem && <ProblemBox problem={problem} onRetry={first.reload} />}
        {!first.data && !problem && <Loading rows={8} />}
        {first.data && events.length === 0 && (
          <Empty icon="register" title="No such events">
            <p>A subject is written whole: <code>device/SN-4711</code>.</p>
          </Empty>
        )}
        {events.length > 0 && <EventList events={events} />}
        {hasMore && (
          <div class="table-foot">
            <span class="faint">{count(events.length)} shown</span>
            <button type="button" class="button" disabled={more.busy} onClick={() => more.run()}>
              {more.busy ? "Loading…" : filtered ? "Show later ones" : "Show earlier ones"}
            </button>
          </div>
        )}
      </Panel>
      <p class="faint small">
        The whole of it as one file: <code>touchmark register export</code>. Who reads it: <a href={href(["principals"])}>principals</a> with the role auditor.
      </p>
    </>
  );
}
