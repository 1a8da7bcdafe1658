/* What is wrong: each finding with why it is true and what to do; accepted or put off with a reason and an end. */
import { useState } from "preact/hooks";
import { api, may, type Me } from "../lib/api";
import { count, plural } from "../lib/format";
import { href, replaceQuery } from "../lib/router";
import type { Page } from "../lib/types";
import { about, useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Dialog, Empty, Facts, Head, Loading, Name, Notice, Panel, ProblemBox, TextField, Time, type Tone } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

export type Severity = "info" | "low" | "medium" | "high" | "critical";

interface Finding {
  id: string;
  rule: string;
  title: string;
  severity: Severity;
  status: "open" | "accepted" | "snoozed" | "gone";
  subject: string;
  name: string;
  owner: string;
  why: string;
  remedy: string;
  controls: string[];
  evidence: Record<string, unknown>;
  not_after: string | null;
  opened_at: string | null;
  changed_at: string | null;
  closed_at: string | null;
  until?: string | null;
  reason?: string;
  by?: string;
}

interface Counts {
  by_status: Record<string, number>;
  open_by_severity: Record<Severity, number>;
}

export const SEVERITY: Record<Severity, Tone> = { info: "quiet", low: "info", medium: "warn", high: "bad", critical: "bad" };
const SEVERITIES: Severity[] = ["critical", "high", "medium", "low", "info"];
const STATUS: [string, string][] = [
  ["open", "Open"],
  ["snoozed", "Put off"],
  ["accepted", "Accepted"],
  ["gone", "Gone"],
  ["any", "All"],
];

/** "certificate/0a1b" leads to the certificate; what has no page of its own leads nowhere. */
export function subjectHref(subject: string): string | undefined {
  const [kind = "", ...rest] = subject.split("/");
  const id = rest.join("/");
  const pages: Record<string, string[]> = { certificate: ["certificates", id], device: ["devices", id], place: ["discovery", "place", id], endpoint: ["endpoints", id], authority: ["authorities", id] };
  return pages[kind] ? href(pages[kind]) : undefined;
}

const COLUMNS: Column<Finding>[] = [
  { title: "What", cell: (f) => <><span><Name text={f.title} /></span><span class="faint small clip"><Name text={f.name} /></span></>, class: "stack" },
  { title: "Severity", cell: (f) => <Badge tone={SEVERITY[f.severity]}>{f.severity}</Badge> },
  { title: "Status", cell: (f) => <Badge tone={f.status === "open" ? "warn" : "quiet"}>{f.status}</Badge> },
  { title: "Owner", cell: (f) => <Name text={f.owner} /> },
  { title: "Since", cell: (f) => <Time at={f.opened_at} />, minor: true },
];

const wants = about("finding.", "certificate.", "sighting.");

function Tally() {
  const counts = useLoad((signal) => api<Counts>("/finding-counts", { signal }), [], 60, wants);
  if (!counts.data) return null;
  return (
    <ul class="legend">
      {SEVERITIES.filter((s) => counts.data!.open_by_severity[s]).map((s) => (
        <li key={s}>
          <Badge tone={SEVERITY[s]}>{s}</Badge> <strong>{count(counts.data!.open_by_severity[s])}</strong>
        </li>
      ))}
    </ul>
  );
}

export function FindingsPage(props: PageProps) {
  return props.place.path[1] ? <OneFinding {...props} id={props.place.path[1]} /> : <AllFindings {...props} />;
}

function AllFindings({ place, me }: PageProps) {
  useTitle("Findings");
  const status = place.query.status ?? "open";
  const paged = usePages<Finding>((after, signal) => api<Page<Finding>>("/findings", { query: { status, after, limit: 50 }, signal }), [status], wants);
  const pass = useAction(() => api("/finding-pass", { method: "POST", json: {} }));
  return (
    <>
      <Head title="Findings" lead="What is wrong with certificates, wherever they are; each says why it is true and what to do.">
        {may(me, "admin", "operator") && (
          <button type="button" class="button" disabled={pass.busy} onClick={() => pass.run()}>
            <Icon name="refresh" />
            Look at everything
          </button>
        )}
      </Head>
      {pass.problem && <ProblemBox problem={pass.problem} />}
      {may(me, "admin", "operator", "auditor") && <Tally />}
      <div class="filter">
        <Chips label="Status" value={status} options={STATUS} onChange={(s) => replaceQuery(place, { status: s })} />
      </div>
      <PagedTable
        caption="Findings"
        paged={paged}
        columns={COLUMNS}
        rowKey={(f) => f.id}
        href={(f) => href(["findings", f.id])}
        empty={
          <Empty icon="check" title={status === "open" ? "Nothing is wrong, as far as is known" : "None of these"}>
            <p>
              Weak keys, shadow authorities, what ends and nothing renews: rules look at every certificate that is issued, imported or <a href={href(["discovery"])}>discovered</a>.
            </p>
          </Empty>
        }
      />
    </>
  );
}

function AsideDialog({ finding, verb, onClose, onDone }: { finding: Finding; verb: "accept" | "snooze"; onClose: () => void; onDone: () => void }) {
  const [reason, setReason] = useState("");
  const [until, setUntil] = useState(new Date(Date.now() + (verb === "snooze" ? 14 : 180) * 86_400_000).toISOString().slice(0, 10));
  const act = useAction(async () => {
    await api(`/findings/${finding.id}/${verb}`, { method: "POST", json: { reason, until: `${until}T00:00:00Z` } });
    onDone();
  });
  return (
    <Dialog title={verb === "accept" ? "Accept it" : "Put it off"} onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void act.run();
        }}
      >
        {act.problem && <ProblemBox problem={act.problem} />}
        <TextField label="Reason" value={reason} onInput={setReason} autofocus hint="For those who come after you, and for the register." />
        <TextField label="Until" type="date" value={until} onInput={setUntil} hint={verb === "accept" ? "At most three years." : "At most 90 days."} />
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={act.busy || !reason.trim()}>
            {verb === "accept" ? "Accept" : "Put off"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

/** What a new certificate would mend. */
const MENDED = /^(expir|renewal|key\.|hash\.|lifetime\.|name\.|policy\.|wildcard|self-signed|revoked)/;

function Decide({ finding: f, me, onDone }: { finding: Finding; me: Me; onDone: () => void }) {
  const [dialog, setDialog] = useState<"accept" | "snooze">();
  const reopen = useAction(async () => {
    await api(`/findings/${f.id}/reopen`, { method: "POST", json: {} });
    onDone();
  });
  if (f.status === "gone" || !may(me, "admin", "operator", "owner")) return null;
  return (
    <>
      {reopen.problem && <ProblemBox problem={reopen.problem} />}
      {f.status === "open" && f.subject.startsWith("certificate/") && MENDED.test(f.rule) && (
        <a class="button primary" href={href(["new-request"], { replaces: f.subject.slice("certificate/".length) })}>
          <Icon name="refresh" />
          Replace…
        </a>
      )}
      {f.status === "open" ? (
        <>
          <button type="button" class="button" onClick={() => setDialog("snooze")}>
            Put off…
          </button>
          {may(me, "admin", "operator") && (
            <button type="button" class="button" onClick={() => setDialog("accept")}>
              Accept…
            </button>
          )}
        </>
      ) : (
        <button type="button" class="button" disabled={reopen.busy} onClick={() => reopen.run()}>
          Open again
        </button>
      )}
      {dialog && <AsideDialog finding={f} verb={dialog} onClose={() => setDialog(undefined)} onDone={() => (setDialog(undefined), onDone())} />}
    </>
  );
}

function OneFinding({ id, me }: PageProps & { id: string }) {
  useTitle("Finding");
  const one = useLoad((signal) => api<Finding>(`/findings/${encodeURIComponent(id)}`, { signal }), [id], 0, wants);
  const back = { href: href(["findings"]), text: "Findings" };
  const f = one.data;
  if (!f)
    return (
      <>
        <Head title="Finding" back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  const to = subjectHref(f.subject);
  return (
    <>
      <Head title={<><Name text={f.title} /> <Badge tone={SEVERITY[f.severity]}>{f.severity}</Badge></>} lead={to ? <a href={to}><Name text={f.name} /></a> : <Name text={f.name} />} back={back}>
        <Decide finding={f} me={me} onDone={one.reload} />
      </Head>
      <Notice tone={f.status === "open" ? (SEVERITY[f.severity] === "quiet" ? "info" : SEVERITY[f.severity]) : "info"} icon="find">
        <p>
          <strong>
            <Name text={f.why} />
          </strong>
        </p>
        {f.status !== "open" && (
          <p>
            {f.status === "gone" ? <>It is true no longer since <Time at={f.closed_at} />.</> : <>{f.status === "accepted" ? "Accepted" : "Put off"} by <Name text={f.by} /> until <Time at={f.until} date />: <Name text={f.reason} /></>}
          </p>
        )}
      </Notice>
      <div class="columns">
        <Panel title="What to do">
          <p>
            <Name text={f.remedy} />
          </p>
        </Panel>
        <Panel title="Facts">
          <Facts
            of={[
              ["Owner", <Name text={f.owner} />],
              ["Since", <Time at={f.opened_at} />],
              f.not_after && ["Ends", <Time at={f.not_after} />],
              ...Object.entries(f.evidence).map(([k, v]): [string, ReturnType<typeof Name>] => [k, <Name text={typeof v === "string" ? v : JSON.stringify(v)} />]),
              ["Rule", <code>{f.rule}</code>],
              f.controls.length > 0 && ["Controls", plural(f.controls.length, "control") + ": " + f.controls.join(", ")],
            ]}
          />
        </Panel>
      </div>
    </>
  );
}
