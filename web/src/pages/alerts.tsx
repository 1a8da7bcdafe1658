/* What somebody was told, and whether anybody looks after it. */
import { useState } from "preact/hooks";
import { api, may, type Me } from "../lib/api";
import { href, replaceQuery } from "../lib/router";
import type { Page } from "../lib/types";
import { about, useAction, useTitle } from "../ui/hooks";
import { Badge, Chips, Dialog, Empty, Head, Name, ProblemBox, TextField, Time } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import { SEVERITY, subjectHref, type Severity } from "./findings";
import type { PageProps } from ".";

interface Alert {
  id: string;
  severity: Severity;
  status: "open" | "acknowledged" | "resolved";
  title: string;
  text: string;
  subject: string;
  owner: string;
  finding: string;
  opened_at: string | null;
  by?: string;
  comment?: string;
}

const STATUS: [string, string][] = [
  ["open", "Open"],
  ["acknowledged", "Looked after"],
  ["resolved", "Resolved"],
  ["any", "All"],
];

function AcknowledgeDialog({ alert, onClose, onDone }: { alert: Alert; onClose: () => void; onDone: () => void }) {
  const [comment, setComment] = useState("");
  const act = useAction(async () => {
    await api(`/alerts/${alert.id}/acknowledge`, { method: "POST", json: { comment } });
    onDone();
  });
  return (
    <Dialog title="I look after it" onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void act.run();
        }}
      >
        {act.problem && <ProblemBox problem={act.problem} />}
        <p>
          <Name text={alert.title} />
        </p>
        <TextField label="Comment" value={comment} onInput={setComment} optional hint="Nothing more is sent about it unless it gets worse." />
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={act.busy}>
            I do
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

const mayAct = (me: Me): boolean => may(me, "admin", "operator", "owner");

export function AlertsPage({ place, me }: PageProps) {
  useTitle("Alerts");
  const status = place.query.status ?? "open";
  const [taking, setTaking] = useState<Alert>();
  const paged = usePages<Alert>((after, signal) => api<Page<Alert>>("/alerts", { query: { status, after, limit: 50 }, signal }), [status], about("alert.", "finding.", "certificate."));
  const columns: Column<Alert>[] = [
    {
      title: "What",
      cell: (a) => {
        const to = a.finding ? href(["findings", a.finding]) : subjectHref(a.subject);
        return to ? (
          <a href={to}>
            <Name text={a.title} />
          </a>
        ) : (
          <Name text={a.title} />
        );
      },
    },
    { title: "Severity", cell: (a) => <Badge tone={SEVERITY[a.severity]}>{a.severity}</Badge> },
    { title: "Told", cell: (a) => <Name text={a.owner} /> },
    { title: "Since", cell: (a) => <Time at={a.opened_at} />, minor: true },
    {
      title: "Looked after",
      cell: (a) =>
        a.status === "open" && mayAct(me) ? (
          <button type="button" class="button small" onClick={() => setTaking(a)} aria-label={`I look after ${a.title}`}>
            I do
          </button>
        ) : (
          <>
            <Badge>{a.status}</Badge> <Name text={a.by} empty="" />
          </>
        ),
    },
  ];
  return (
    <>
      <Head title="Alerts" lead="What somebody was told: once for each cause, again only when it gets worse." />
      <div class="filter">
        <Chips label="Status" value={status} options={STATUS} onChange={(s) => replaceQuery(place, { status: s })} />
      </div>
      <PagedTable
        caption="Alerts"
        paged={paged}
        columns={columns}
        rowKey={(a) => a.id}
        empty={
          <Empty icon="bell" title={status === "open" ? "Nobody has to be told anything" : "None of these"}>
            <p>
              What ends and is renewed by itself raises none. A resource <code>Notification</code> says whom to tell, by mail, web hook or syslog.
            </p>
          </Empty>
        }
      />
      {taking && <AcknowledgeDialog alert={taking} onClose={() => setTaking(undefined)} onDone={() => (setTaking(undefined), paged.reload())} />}
    </>
  );
}
