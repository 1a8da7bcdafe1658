/* The first page: is the house well, what waits, what ends soon, what happened. */
import { useMemo, useState } from "preact/hooks";
import { api } from "../lib/api";
import { commonName, count, duration, plural } from "../lib/format";
import { href } from "../lib/router";
import type { Posture, Status, Summary } from "../lib/types";
import { Activity } from "../ui/activity";
import { EventList } from "../ui/events";
import { useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Empty, Head, Loading, Name, Notice, Panel, ProblemBox, Time } from "../ui/parts";
import { Radar } from "../ui/radar";
import { crlState } from "./authorities";
import type { PageProps } from ".";

const SPANS: [string, string][] = [
  ["1", "Day"],
  ["7", "Week"],
  ["30", "Month"],
  ["90", "Quarter"],
];

function Figure({ value, label, to, tone }: { value: string; label: string; to: string; tone?: string }) {
  return (
    <a class={`figure ${tone ?? ""}`} href={to}>
      <span class="figure-value">{value}</span>
      <span class="figure-label">{label}</span>
    </a>
  );
}

/** What an operator must know before anything else. */
function Alarms({ status }: { status: Status }) {
  const failing = status.jobs.filter((j) => j.failing);
  return (
    <>
      {status.read_only && (
        <Notice tone="bad">
          <p>
            <strong>The house only reads; nothing is issued.</strong> {status.read_only_reason}
          </p>
        </Notice>
      )}
      {!status.signer && !status.read_only && (
        <Notice tone="bad">
          <p>
            <strong>The signer does not run; nothing can be signed.</strong> It starts again by itself where it can read its passphrase; the log says why it ended.
          </p>
        </Notice>
      )}
      {failing.map((job) => (
        <Notice tone="warn" key={job.name}>
          <p>
            <strong>Job {job.name} fails.</strong> <Name text={job.why} empty="" />
          </p>
        </Notice>
      ))}
    </>
  );
}

function Figures({ status, summary, findings }: { status: Status; summary: Summary; findings: Findings | undefined }) {
  const { counts } = status;
  const live = Math.max(0, counts.certificates - counts.revoked - counts.expired);
  const { pending, expiring } = summary;
  return (
    <div class="figures">
      <Figure value={count(counts.certificates)} label={`certificates, ${count(live)} in use`} to={href(["certificates"])} />
      <Figure value={count(counts.devices)} label={counts.devices === 1 ? "device" : "devices"} to={href(["devices"])} />
      <Figure value={count(pending.count) + (pending.more ? "+" : "")} label={pending.count === 1 ? "request waits" : "requests wait"} to={href(["requests"])} tone={pending.count > 0 ? "warn" : ""} />
      <Figure
        value={count(expiring.count) + (expiring.more ? "+" : "")}
        label={`expire within ${expiring.days} days`}
        to={href(["certificates"], { q: `expires<${expiring.days}d` })}
        tone={expiring.count > 0 ? "warn" : ""}
      />
      {findings && <FindingsFigure of={findings} />}
      <Figure value={count(counts.events)} label="events on record" to={href(["register"])} />
    </div>
  );
}

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);

/** Bars of parts of a whole, with the numbers beside them. */
function Bars({ rows, caption }: { rows: { key: string; label: string; value: number; note: string; href?: string }[]; caption: string }) {
  const most = Math.max(1, ...rows.map((r) => r.value));
  return (
    <ul class="bars" aria-label={caption}>
      {rows.map((r) => (
        <li key={r.key}>
          <span class="bars-label">{r.href ? <a href={r.href}>{r.label}</a> : r.label}</span>
          <span class="bars-track" aria-hidden="true">
            <span class="bars-fill" style={{ width: `${Math.max(1, (r.value / most) * 100)}%` }} />
          </span>
          <span class="bars-note">{r.note}</span>
        </li>
      ))}
    </ul>
  );
}

const DOORS: Record<string, string> = { rest: "REST", est: "EST", acme: "ACME", scep: "SCEP", cmp: "CMP", coap: "EST over CoAP" };

function Doors({ summary }: { summary: Summary }) {
  /* What the house makes for itself, nobody asked for. */
  const doors = summary.doors.filter((d) => d.door in DOORS);
  const issued = sum(doors.map((d) => d.issued));
  const denied = sum(doors.map((d) => d.denied));
  const renewed = sum(doors.map((d) => d.renewed));
  return (
    <Panel title="Doors" aside={<a href={href(["endpoints"])}>Endpoints</a>}>
      {doors.length === 0 ? (
        <Empty icon="endpoint" title="Nobody came in this time">
          <p>
            An <a href={href(["endpoints"])}>endpoint</a> says under Clients what to type for a first certificate.
          </p>
        </Empty>
      ) : (
        <>
          <p class="shares">
            <span>
              <strong>{Math.round((issued / (issued + denied)) * 100)} %</strong> of what was asked for was issued
            </span>
            <span>
              <strong>{issued ? Math.round((renewed / issued) * 100) : 0} %</strong> of that were renewals
            </span>
          </p>
          <Bars
            caption="Certificates by door"
            rows={[...doors].sort((a, b) => b.issued - a.issued).map((d) => ({ key: d.door, label: DOORS[d.door] ?? d.door, value: d.issued, note: [`${count(d.issued)} issued`, d.denied ? `${count(d.denied)} denied` : ""].filter(Boolean).join(", ") }))}
          />
        </>
      )}
    </Panel>
  );
}

const MODELS: Record<string, string> = { crl: "Complete list", shard: "Part of the list", delta: "Delta list", ocsp: "OCSP", filter: "Filter", expiry: "By expiry" };

function Latency({ summary }: { summary: Summary }) {
  return (
    <Panel title="From a revocation until it is told">
      {summary.latency.length === 0 ? (
        <Empty icon="check" title="Nothing was revoked since the server started">
          <p>After the first revocation this says how long it took until lists, OCSP and filters told it.</p>
        </Empty>
      ) : (
        <table class="plain">
          <caption class="unseen">How long the last revocations took, by model</caption>
          <thead>
            <tr>
              <th scope="col">Told by</th>
              <th scope="col">Half within</th>
              <th scope="col">Slowest</th>
            </tr>
          </thead>
          <tbody>
            {summary.latency.map((l) => (
              <tr key={l.model}>
                <td data-title="Told by">{MODELS[l.model] ?? l.model}</td>
                <td data-title="Half within">{duration(l.median_ms)}</td>
                <td data-title="Slowest">{duration(l.worst_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

interface Counts {
  count: number;
  complete: boolean;
  items: { value: string; count: number; least_seconds?: number }[];
}

const counts = (by: string, query: string, signal: AbortSignal) => api<Counts>("/inventory/counts", { query: { by, query, limit: 60 }, signal });
const WEEKS = 26;

/** When the valid certificates end, week by week. */
function Timeline({ of }: { of: Counts }) {
  const found = new Map(of.items.map((i) => [i.value, i.count]));
  const today = new Date();
  const monday = Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate() - ((today.getUTCDay() + 6) % 7));
  const weeks = Array.from({ length: WEEKS + 1 }, (_, i) => {
    const value = new Date(monday + i * 7 * 86_400_000).toISOString().slice(0, 10);
    return { value, count: found.get(value) ?? 0 };
  });
  const most = Math.max(1, ...weeks.map((w) => w.count));
  const total = sum(weeks.map((w) => w.count));
  if (total === 0) return (
      <Empty icon="check" title="Nothing ends within half a year">
        <p>
          What was issued elsewhere ends, too: <a href={href(["discovery"])}>look for it</a>, and it stands here.
        </p>
      </Empty>
    );
  return (
    <ol class="timeline" aria-label="Certificates that end, by week">
      {weeks.map((w) => {
        const next = new Date(Date.parse(w.value) + 7 * 86_400_000).toISOString().slice(0, 10);
        return (
          <li key={w.value}>
            <a href={href(["certificates"], { q: `expires>=${w.value} expires<${next}`, status: "valid", sort: "expires" })} title={`${count(w.count)} in the week of ${w.value}`} aria-label={`week of ${w.value}: ${plural(w.count, "certificate")}`}>
              <span class="timeline-bar" style={{ height: w.count ? `${Math.max(4, (w.count / most) * 100)}%` : "1px" }} />
            </a>
            <span class="timeline-week" aria-hidden="true">
              {w.value.slice(5)}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

const CLASSES: Record<string, string> = { own: "issued here", "own-ca": "our authorities", foreign: "of others", "foreign-ca": "others' authorities", "self-signed": "self-signed" };
const KEYS: Record<string, string> = { p256: "EC P-256", p384: "EC P-384", p521: "EC P-521", ed25519: "Ed25519", ed448: "Ed448" };

function keyTitle(value: string): string {
  return KEYS[value] ?? value.replace(/^rsa(\d+)$/, "RSA $1").replace(/^ml-dsa/, "ML-DSA");
}

/** The inventory by what its certificates have in common. */
function Inventory() {
  const found = useLoad(
    async (signal) => {
      const [weeks, keys, lifetimes, classes] = await Promise.all([
        counts("expires-week", `status:valid expires<${WEEKS}w`, signal),
        counts("key", "status:valid", signal),
        counts("lifetime", "status:valid", signal),
        counts("class", "status:valid", signal),
      ]);
      return { weeks, keys, lifetimes, classes };
    },
    [],
    300,
    (e) => e.type.startsWith("certificate."),
  );
  if (found.problem) return <ProblemBox problem={found.problem} onRetry={found.reload} />;
  if (!found.data) return <Loading rows={4} />;
  const { weeks, keys, lifetimes, classes } = found.data;
  const bars = (of: Counts, field: string, title: (v: string) => string) =>
    of.items.slice(0, 6).map((c) => ({ key: c.value, label: title(c.value), value: c.count, note: count(c.count), ...(field ? { href: href(["certificates"], { q: `${field}:${c.value}`, status: "valid" }) } : {}) }));
  return (
    <>
      <Panel title="What ends when" aside={<span class="faint small">half a year, by week</span>}>
        <Timeline of={weeks} />
      </Panel>
      <div class="columns thirds">
        <Panel title="Keys">
          <Bars caption="Valid certificates by key" rows={bars(keys, "key", keyTitle)} />
        </Panel>
        <Panel title="Lifetimes">
          <Bars caption="Valid certificates by lifetime" rows={bars(lifetimes, "", (v) => v)} />
        </Panel>
        <Panel title="Whose">
          <Bars caption="Valid certificates by who issued them" rows={bars(classes, "", (v) => CLASSES[v] ?? v)} />
        </Panel>
      </div>
    </>
  );
}

interface Findings {
  by_status: Record<string, number>;
  open_by_severity: Record<string, number>;
}

/** Open findings, the worst counted first. */
function FindingsFigure({ of }: { of: Findings }) {
  const open = of.by_status.open ?? 0;
  const bad = (of.open_by_severity.critical ?? 0) + (of.open_by_severity.high ?? 0);
  return <Figure value={count(open)} label={bad ? `findings, ${count(bad)} severe` : open === 1 ? "finding" : "findings"} to={href(["findings"])} tone={bad ? "warn" : ""} />;
}

function Health() {
  const posture = useLoad((signal) => api<Posture>("/posture", { signal }), [], 300);
  return (
    <Panel title="Health" aside={<a href={href(["health"])}>Why</a>} class="radar-panel">
      {posture.problem ? <ProblemBox problem={posture.problem} onRetry={posture.reload} /> : posture.data ? <Radar axes={posture.data.axes} small /> : <Loading rows={4} />}
    </Panel>
  );
}

/** What ends soon, who issues, through which doors, and what happened last. */
function Rest({ status, summary }: { status: Status; summary: Summary }) {
  const { expiring, recent } = summary;
  return (
    <>
      <div class="columns">
        <Panel title="Expiring soon" aside={<a href={href(["certificates"], { q: `expires<${expiring.days}d` })}>All</a>}>
          {expiring.items.length === 0 ? (
            <Empty icon="check" title={`Nothing expires within ${expiring.days} days`}>
              <p>
                What will, stands here; <a href={href(["alerts"])}>alerts</a> tell of what nothing renews.
              </p>
            </Empty>
          ) : (
            <ul class="rows">
              {expiring.items.map((c) => (
                <li key={c.serial}>
                  <a href={href(["certificates", c.serial])}>
                    <span class="row-main">
                      <Name text={commonName(c.subject)} empty="no name" />
                      <span class="faint small clip">
                        <Name text={c.profile || c.authority} />
                      </span>
                    </span>
                    <Time at={c.not_after} />
                  </a>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title="Authorities" aside={<a href={href(["authorities"])}>All</a>}>
          <ul class="rows">
            {status.authorities.map((a) => {
              const crl = crlState(a.crl, Date.now());
              return (
                <li key={a.name}>
                  <a href={href(["authorities", a.name])}>
                    <span class="row-main">
                      {a.name}
                      <span class="faint small">
                        {a.root ? "root" : "issues"}
                        {a.offline ? ", key offline" : ""}
                        {a.crl ? <> · CRL until <Time at={a.crl.next_update} date /></> : ""}
                      </span>
                    </span>
                    {a.disabled ? <Badge tone="quiet">disabled</Badge> : <Badge tone={crl.tone}>{crl.text}</Badge>}
                  </a>
                </li>
              );
            })}
          </ul>
        </Panel>
        <Doors summary={summary} />
        <Latency summary={summary} />
      </div>
      <Panel title="Latest events" aside={<a href={href(["register"])}>Register</a>}>
        {recent.length === 0 ? (
          <Empty icon="register" title="Nothing has happened yet">
            <p>Whatever is issued, refused, changed or taken back is entered here, for good.</p>
          </Empty>
        ) : (
          <EventList events={recent.slice(0, 8)} />
        )}
        <p class="faint small foot-note">
          <Icon name="register" />
          <span>
            {plural(status.register.checkpoint, "event")} covered by the checkpoint of <Time at={status.register.checkpoint_at} />
          </span>
        </p>
      </Panel>
    </>
  );
}

export function OverviewPage(_: PageProps) {
  useTitle("Overview");
  const [days, setDays] = useState("7");
  const both = useLoad((signal) => Promise.all([api<Status>("/status", { signal }), api<Summary>("/summary", { query: { days }, signal })]), [days], 20, () => true);
  const findings = useLoad((signal) => api<Findings>("/finding-counts", { signal }), [], 120, (e) => e.type.startsWith("finding."));
  const { problem } = both;
  /* What each part needs is asked for at once, and stands as it comes; what has not changed is not drawn anew. */
  const [s, m] = both.data ?? [];
  const health = useMemo(() => <Health />, []);
  const inventory = useMemo(() => <Inventory />, []);
  const rest = useMemo(() => s && m && <Rest status={s} summary={m} />, [both.data]);
  return (
    <>
      <Head title="Overview" lead={s ? <>Started <Time at={s.started_at} />, version {s.version}</> : "\u00a0"} />
      {problem && <ProblemBox problem={problem} onRetry={both.reload} />}
      {s && <Alarms status={s} />}
      {s && m ? <Figures status={s} summary={m} findings={findings.data} /> : !problem && <Loading rows={2} />}
      <div class="wide-narrow">
        <Panel title="Activity" aside={<Chips label="Span" value={days} options={SPANS} onChange={setDays} />}>
          {m ? <Activity of={m.activity} /> : !problem && <Loading rows={5} />}
        </Panel>
        {health}
      </div>
      {inventory}
      {rest}
    </>
  );
}
