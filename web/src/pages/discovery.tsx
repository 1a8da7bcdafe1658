/* Discovery: runs of scans, files, captures and logs, what each found and changed; and the places where certificates are. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api, may } from "../lib/api";
import { commonName, count } from "../lib/format";
import { go, href, replaceQuery } from "../lib/router";
import type { Certificate as Cert, Page } from "../lib/types";
import { about, useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Dialog, Empty, Facts, Head, Hex, Loading, Name, Notice, Panel, ProblemBox, TextField, Time } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

interface Run {
  id: string;
  status: "waiting" | "running" | "done" | "canceled" | "failed";
  via: string;
  name: string;
  by: string;
  begun: string | null;
  ended: string | null;
  created: string | null;
  total: number;
  done: number;
  answered: number;
  failed: number;
  added: number;
  known: number;
  refused: number;
  new_places: number;
  changed: number;
  same: number;
  gone: number;
  why: string;
  spec: Record<string, unknown>;
}

interface State {
  fingerprint: string;
  serial: string;
  since: string | null;
  last: string | null;
}

interface Place {
  id: string;
  place: string;
  status: "present" | "gone";
  via: string;
  serial: string;
  chain: string[];
  first: string | null;
  since: string | null;
  last: string | null;
  run: string;
  details: Record<string, unknown>;
  refused?: string;
  before: State[];
}

interface Side {
  fingerprint: string;
  serial: string;
  subject?: string;
  not_after?: string;
}

interface Change {
  change: "new" | "changed" | "gone" | "chain";
  place: string;
  id: string;
  was?: Side;
  now?: Side;
}

const TONE = { waiting: "quiet", running: "info", done: "good", canceled: "quiet", failed: "bad" } as const;

function Progress({ run: r }: { run: Run }) {
  if (r.status !== "running") return <Badge tone={TONE[r.status]}>{r.status}</Badge>;
  const share = r.total ? Math.min(100, Math.round((r.done / r.total) * 100)) : 0;
  return (
    <span class="progress">
      <Badge tone="info">running</Badge> {r.total ? `${share} %` : count(r.done)}
    </span>
  );
}

const RUNS: Column<Run>[] = [
  { title: "Begun", cell: (r) => <Time at={r.begun ?? r.created} /> },
  { title: "Kind", cell: (r) => <>{r.via} <Name text={r.name} empty="" /></> },
  { title: "Status", cell: (r) => <Progress run={r} /> },
  { title: "Looked at", cell: (r) => count(r.done), minor: true },
  { title: "With certificates", cell: (r) => count(r.answered), minor: true },
  { title: "New", cell: (r) => count(r.added) },
  { title: "Changed", cell: (r) => [r.new_places && `${count(r.new_places)} new places`, r.changed && `${count(r.changed)} changed`, r.gone && `${count(r.gone)} gone`].filter(Boolean).join(", ") || <span class="faint none">–</span> },
];

const PLACES: Column<Place>[] = [
  { title: "Place", cell: (p) => <Name text={p.place} /> },
  { title: "Status", cell: (p) => <Badge tone={p.status === "present" ? "good" : "quiet"}>{p.status}</Badge> },
  { title: "Met by", cell: (p) => p.via, minor: true },
  { title: "There since", cell: (p) => <Time at={p.since} /> },
  { title: "Seen last", cell: (p) => <Time at={p.last} />, minor: true },
];

const TEACH = (
  <Empty icon="find" title="Nothing was looked for yet">
    <p>
      <code>touchmark discover scan 10.0.0.0/24</code> asks every host what it shows, <code>touchmark discover files /etc</code> reads what lies on a machine. What they find is in the inventory at once, with where it was seen.
    </p>
  </Empty>
);

function AllRuns() {
  const paged = usePages<Run>((after, signal) => api<Page<Run>>("/discovery/runs", { query: { after, limit: 50 }, signal }), [], about("discovery.", "sighting."));
  return <PagedTable caption="Runs" paged={paged} columns={RUNS} rowKey={(r) => r.id} href={(r) => href(["discovery", r.id])} empty={TEACH} />;
}

function AllPlaces() {
  const paged = usePages<Place>((after, signal) => api<Page<Place>>("/places", { query: { after, limit: 50 }, signal }), [], about("discovery.", "sighting."));
  return <PagedTable caption="Places" paged={paged} columns={PLACES} rowKey={(p) => p.id} href={(p) => href(["discovery", "place", p.id])} empty={TEACH} />;
}

function Certificate({ side }: { side: Side | undefined }) {
  if (!side) return <span class="faint none">–</span>;
  const name = commonName(side.subject ?? "") || side.fingerprint.slice(0, 16);
  return side.serial ? (
    <a href={href(["certificates", side.serial])}>
      <Name text={name} />
    </a>
  ) : (
    <Name text={name} />
  );
}

const CHANGES: Column<Change>[] = [
  { title: "Place", cell: (c) => <a href={href(["discovery", "place", c.id])}><Name text={c.place} /></a> },
  { title: "What", cell: (c) => <Badge tone={c.change === "new" ? "info" : c.change === "gone" ? "warn" : "quiet"}>{c.change}</Badge> },
  { title: "Was", cell: (c) => <Certificate side={c.was} /> },
  { title: "Is", cell: (c) => <Certificate side={c.now} /> },
];

interface Gap {
  device?: string;
  model?: string;
  owner?: string;
  place?: string;
  state?: string;
  why?: string;
  ended?: string | null;
  certificate?: Cert;
}

const WHY: Record<string, string> = { "never-had-one": "never had one", expired: "it expired", revoked: "it was revoked" };

const DEVICE_GAPS: Column<Gap>[] = [
  { title: "Device", cell: (g) => <Name text={g.device} /> },
  { title: "State", cell: (g) => <Badge>{g.state ?? ""}</Badge> },
  { title: "Why", cell: (g) => <>{WHY[g.why ?? ""] ?? g.why} {g.ended && <Time at={g.ended} />}</> },
  { title: "Owner", cell: (g) => <Name text={g.owner} />, minor: true },
  { title: "Place", cell: (g) => <Name text={g.place} />, minor: true },
];
const CERT_GAPS: Column<Gap>[] = [
  { title: "Certificate", cell: (g) => <Name text={commonName(g.certificate?.subject ?? "")} empty="no name" /> },
  { title: "Device named", cell: (g) => <Name text={g.certificate?.device} /> },
  { title: "Expires", cell: (g) => <Time at={g.certificate?.not_after} /> },
  { title: "From", cell: (g) => <Name text={g.certificate?.profile || g.certificate?.authority} />, minor: true },
];

function Gaps({ kind }: { kind: "devices-without-certificate" | "certificates-without-device" }) {
  const devices = kind === "devices-without-certificate";
  const paged = usePages<Gap>((after, signal) => api<Page<Gap>>("/inventory/gaps", { query: { kind, after, limit: 50 }, signal }), [kind], about("certificate.", "device."));
  return (
    <PagedTable
      caption={devices ? "Devices without a certificate" : "Certificates without a device"}
      paged={paged}
      columns={devices ? DEVICE_GAPS : CERT_GAPS}
      rowKey={(g) => g.device ?? g.certificate?.serial ?? ""}
      href={(g) => (devices ? href(["devices", g.device ?? ""]) : href(["certificates", g.certificate?.serial ?? ""]))}
      empty={
        <Empty icon="check" title={devices ? "Every device has a valid certificate" : "Every certificate belongs to a device of the register"}>
          <p>
            A list of devices from elsewhere is taken in by <code>touchmark device import</code>; what is missing on either side then stands here.
          </p>
        </Empty>
      }
    />
  );
}

function ScanDialog({ onClose }: { onClose: () => void }) {
  const [targets, setTargets] = useState("");
  const [ports, setPorts] = useState("443");
  const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);
  const scan = useAction(async () => {
    const run = await api<Run>("/discovery/scans", { method: "POST", json: { targets: words(targets), ports: words(ports) } });
    onClose();
    go(["discovery", run.id]);
  });
  return (
    <Dialog title="Scan" onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void scan.run();
        }}
      >
        {scan.problem && <ProblemBox problem={scan.problem} />}
        <TextField label="Networks and hosts" value={targets} onInput={setTargets} rows={3} mono autofocus placeholder={"10.0.0.0/24\nmail.example.org"} hint="Private networks; others need a resource Scan of an administrator." />
        <TextField label="Ports" value={ports} onInput={setPorts} mono hint="443 8443 smtp:25 imap:143 postgres:5432 …" />
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={scan.busy || words(targets).length === 0}>
            Begin
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function OneRun({ id, hands }: { id: string; hands: boolean }) {
  useTitle("Run");
  const one = useLoad((signal) => api<Run>(`/discovery/runs/${encodeURIComponent(id)}`, { signal }), [id], 3);
  const changes = usePages<Change>((after, signal) => api<Page<Change>>(`/discovery/runs/${encodeURIComponent(id)}/diff`, { query: { after, limit: 100 }, signal }), [id, one.data?.status]);
  const cancel = useAction(async () => {
    await api(`/discovery/runs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
    one.reload();
  });
  const back = { href: href(["discovery"]), text: "Discovery" };
  const r = one.data;
  if (!r)
    return (
      <>
        <Head title="Run" back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  return (
    <>
      <Head title={<>{r.via} <Name text={r.name} empty="" /> <Badge tone={TONE[r.status]}>{r.status}</Badge></>} lead={<>Asked for by <Name text={r.by} />, begun <Time at={r.begun} /></>} back={back}>
        {hands && r.via === "scan" && (r.status === "running" || r.status === "waiting") && (
          <button type="button" class="button danger" disabled={cancel.busy} onClick={() => cancel.run()}>
            End it
          </button>
        )}
      </Head>
      {cancel.problem && <ProblemBox problem={cancel.problem} />}
      {r.why && <Notice tone="bad"><Name text={r.why} /></Notice>}
      {r.status === "running" && r.total > 0 && (
        <div class="meter" role="progressbar" aria-label="Progress" aria-valuemin={0} aria-valuemax={r.total} aria-valuenow={r.done}>
          <div class="meter-fill good" style={{ width: `${Math.min(100, (r.done / r.total) * 100)}%` }} />
        </div>
      )}
      <div class="columns">
        <Panel title="What it looked at">
          <Facts
            of={[
              ["Looked at", r.total ? `${count(r.done)} of ${count(r.total)}` : count(r.done)],
              ["Answered", `${count(r.answered)} with certificates`],
              r.failed > 0 && ["Unreadable", count(r.failed)],
              ["Ended", <Time at={r.ended} />],
            ]}
          />
        </Panel>
        <Panel title="What it found">
          <Facts
            of={[
              ["Certificates", `${count(r.added)} new, ${count(r.known)} known${r.refused ? `, ${count(r.refused)} not taken` : ""}`],
              ["Places", `${count(r.new_places)} new, ${count(r.changed)} changed, ${count(r.same)} the same, ${count(r.gone)} gone`],
            ]}
          />
        </Panel>
      </div>
      <PagedTable caption="Changes" paged={changes} columns={CHANGES} rowKey={(c) => c.id} empty={
          <Empty icon="check" title="Nothing changed since the run before">
            <p>The next run of the same scan is compared with this one: what is new, what changed and what is gone.</p>
          </Empty>
        } />
    </>
  );
}

function OnePlace({ id }: { id: string }) {
  const one = useLoad((signal) => api<Place>(`/places/${encodeURIComponent(id)}`, { signal }), [id]);
  useTitle("Place");
  const back = { href: href(["discovery"], { view: "places" }), text: "Places" };
  const p = one.data;
  if (!p)
    return (
      <>
        <Head title="Place" back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  return (
    <>
      <Head title={<><Name text={p.place} /> <Badge tone={p.status === "present" ? "good" : "quiet"}>{p.status}</Badge></>} back={back}>
        {p.serial && (
          <a class="button" href={href(["certificates", p.serial])}>
            Its certificate
          </a>
        )}
      </Head>
      {p.refused && <Notice tone="warn"><Name text={p.refused} /></Notice>}
      <div class="columns">
        <Panel title="What is there">
          <Facts
            of={[
              ["Met by", p.via],
              ["First", <Time at={p.first} />],
              ["This since", <Time at={p.since} />],
              ["Seen last", <Time at={p.last} />],
              ...Object.entries(p.details).map(([k, v]): [string, ComponentChildren] => [k, <Name text={typeof v === "string" ? v : JSON.stringify(v)} />]),
              p.chain.length > 0 && ["Chain", p.chain.map((f) => <Hex key={f} value={f} />)],
            ]}
          />
        </Panel>
        <Panel title="What was there">
          {p.before.length === 0 ? (
            <p class="faint">Nothing else, as far as is known.</p>
          ) : (
            <ul class="rows plain-rows">
              {p.before.map((b, i) => (
                <li key={i}>
                  <span class="row-main">
                    {b.serial ? <a href={href(["certificates", b.serial])}>{b.fingerprint.slice(0, 16)}</a> : b.fingerprint.slice(0, 16) || "no certificate"}
                    <span class="faint small">
                      from <Time at={b.since} date /> to <Time at={b.last} date />
                    </span>
                  </span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
      </div>
    </>
  );
}

const VIEWS: [string, string][] = [
  ["runs", "Runs"],
  ["places", "Places"],
  ["devices", "Devices without certificate"],
  ["certificates", "Certificates without device"],
];

export function DiscoveryPage({ place, me }: PageProps) {
  useTitle("Discovery");
  const [, first, second] = place.path;
  const hands = may(me, "admin", "operator");
  const [scanning, setScanning] = useState(false);
  if (first === "place" && second) return <OnePlace id={second} />;
  if (first) return <OneRun id={first} hands={hands} />;
  const view = VIEWS.find(([v]) => v === place.query.view)?.[0] ?? "runs";
  return (
    <>
      <Head title="Discovery" lead="What is out there: scans, files, captures and logs, and the places where certificates were met.">
        {hands && (
          <button type="button" class="button primary" onClick={() => setScanning(true)}>
            <Icon name="find" />
            Scan
          </button>
        )}
      </Head>
      <div class="filter">
        <Chips label="View" value={view} options={VIEWS} onChange={(v) => replaceQuery(place, { view: v })} />
      </div>
      {view === "runs" && <AllRuns />}
      {view === "places" && <AllPlaces />}
      {view === "devices" && <Gaps kind="devices-without-certificate" />}
      {view === "certificates" && <Gaps kind="certificates-without-device" />}
      {scanning && <ScanDialog onClose={() => setScanning(false)} />}
    </>
  );
}
