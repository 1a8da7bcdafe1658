/* Requests that wait for a person: look, talk, approve, reject; and for who asked, what came of it. */
import { useState } from "preact/hooks";
import { api, may, save, type Me } from "../lib/api";
import { commonName, plural } from "../lib/format";
import { href, replaceQuery } from "../lib/router";
import type { Comment, Described, Event, Page, Request } from "../lib/types";
import { about, useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Empty, Facts, Head, Loading, Name, Notice, Panel, ProblemBox, TextField, Time, Until } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

type View = "decide" | "mine" | "pending" | "all";
const VIEWS: [View, string][] = [
  ["decide", "For me to decide"],
  ["mine", "Asked by me"],
  ["pending", "All that wait"],
  ["all", "All"],
];
const QUERIES: Record<View, Record<string, string>> = { decide: { to_decide: "1" }, mine: { mine: "1" }, pending: { status: "pending" }, all: {} };

const said = (r: Request, key: string): string => (typeof r.request[key] === "string" ? (r.request[key] as string) : "");
const armoured = (label: string, base64: string): string => (base64 ? `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n` : "");
const staff = (me: Me): boolean => may(me, "admin", "operator", "auditor");

/** A name where it leads somewhere for this person, else the name alone. */
function To({ me, path, text }: { me: Me; path: string; text: string }) {
  return staff(me) ? (
    <a href={href([path, text])}>
      <Name text={text} />
    </a>
  ) : (
    <Name text={text} />
  );
}

const COLUMNS: Column<Request>[] = [
  { title: "Asked", cell: (r) => <Time at={r.created_at} /> },
  { title: "Status", cell: (r) => <Badge>{r.status}</Badge> },
  { title: "Profile", cell: (r) => <Name text={said(r, "profile")} /> },
  { title: "By", cell: (r) => <Name text={r.asked_by} /> },
  { title: "Device", cell: (r) => <Name text={said(r, "device")} />, minor: true },
  { title: "Door", cell: (r) => <Name text={said(r, "door")} />, minor: true },
  { title: "Said", cell: (r) => (r.comments.length > 0 ? String(r.comments.length) : <span class="faint none">–</span>), minor: true },
  { title: "Decide until", cell: (r) => (r.status === "pending" ? <Time at={r.expires_at} /> : <span class="faint none">–</span>) },
];

export function RequestsPage(props: PageProps) {
  return props.place.path[1] ? <OneRequest {...props} id={props.place.path[1]} /> : <AllRequests {...props} />;
}

const NOTHING: Record<View, string> = { decide: "Nothing waits for your word", mine: "You have asked for nothing yet", pending: "Nothing waits", all: "No requests yet" };

function AllRequests({ place, me }: PageProps) {
  useTitle("Requests");
  const asks = may(me, "admin", "operator", "owner");
  const views = staff(me) ? VIEWS : VIEWS.filter(([v]) => v !== "pending");
  const wanted = place.query.view as View | undefined;
  const view: View = wanted && wanted in QUERIES ? wanted : staff(me) ? "pending" : "mine";
  const paged = usePages<Request>((after, signal) => api<Page<Request>>("/requests", { query: { ...QUERIES[view], after, limit: 50 }, signal }), [view], about("enrollment."));
  return (
    <>
      <Head title="Requests" lead="What a profile lets through only with a person's word, from every door.">
        {asks && (
          <a class="button primary" href={href(["new-request"])}>
            <Icon name="issue" />
            New request
          </a>
        )}
      </Head>
      <div class="filter">
        <Chips label="Which" value={view} options={views} onChange={(v) => replaceQuery(place, { view: v })} />
      </div>
      <PagedTable
        caption="Requests"
        paged={paged}
        columns={COLUMNS}
        rowKey={(r) => r.id}
        href={(r) => href(["requests", r.id])}
        empty={
          <Empty icon="request" title={NOTHING[view]}>
            {view === "mine" ? (
              <p>
                <a href={href(["new-request"])}>Ask for a certificate</a>: with a request of your own, or with a key that this browser makes.
              </p>
            ) : (
              <p>
                A profile with <code>approval.required</code> makes requests wait here; <code>approval.groups</code> says who else may decide, <code>approval.deadline</code> until when.
              </p>
            )}
          </Empty>
        }
      />
    </>
  );
}

/* ---- one ---- */

function Decide({ request, onDone }: { request: Request; onDone: () => void }) {
  const [comment, setComment] = useState("");
  const decide = useAction(async (verb: "approve" | "reject") => {
    await api(`/requests/${encodeURIComponent(request.id)}/${verb}`, { method: "POST", json: { comment } });
    onDone();
  });
  return (
    <Panel title="Decide">
      {decide.problem && <ProblemBox problem={decide.problem} />}
      <TextField label="Comment" value={comment} onInput={setComment} optional hint="For who asked, and for the register." />
      <div class="buttons">
        <button type="button" class="button primary" disabled={decide.busy} onClick={() => decide.run("approve")}>
          Approve
        </button>
        <button type="button" class="button danger" disabled={decide.busy} onClick={() => decide.run("reject")}>
          Reject
        </button>
      </div>
    </Panel>
  );
}

function Said({ comment }: { comment: Comment }) {
  return (
    <li class={comment.decision ? `said ${comment.decision}` : "said"}>
      <p class="said-head">
        <strong>
          <Name text={comment.by} />
        </strong>
        {comment.decision && <Badge tone={comment.decision === "approved" ? "good" : "bad"}>{comment.decision}</Badge>}
        <span class="faint small">
          <Time at={comment.at} />
        </span>
      </p>
      {comment.text && (
        <p class="said-text">
          <Name text={comment.text} />
        </p>
      )}
    </li>
  );
}

function Talk({ request, speaks, onDone }: { request: Request; speaks: boolean; onDone: () => void }) {
  const [comment, setComment] = useState("");
  const say = useAction(async () => {
    await api(`/requests/${encodeURIComponent(request.id)}/comments`, { method: "POST", json: { comment: comment.trim() } });
    setComment("");
    onDone();
  });
  if (request.comments.length === 0 && !speaks) return null;
  return (
    <Panel title="What was said">
      {request.comments.length === 0 ? (
        <p class="faint">Nothing yet. A question here reaches who asked, an answer those who decide.</p>
      ) : (
        <ol class="talk">
          {request.comments.map((c, i) => (
            <Said key={i} comment={c} />
          ))}
        </ol>
      )}
      {speaks && (
        <form
          class="say"
          onSubmit={(e) => {
            e.preventDefault();
            void say.run();
          }}
        >
          {say.problem && <ProblemBox problem={say.problem} />}
          <TextField label="Say something" value={comment} onInput={setComment} rows={2} />
          <button type="submit" class="button" disabled={say.busy || !comment.trim()}>
            Send
          </button>
        </form>
      )}
    </Panel>
  );
}

/** The certificate, for who came to fetch it. */
function Delivered({ request: r, me }: { request: Request; me: Me }) {
  const name = r.serial ?? "certificate";
  return (
    <Notice tone="good">
      <p>
        <strong>{r.mine ? "Your certificate is there." : "Approved and issued."}</strong>{" "}
        {r.serial && staff(me) && (
          <>
            Look at <a href={href(["certificates", r.serial])}>this certificate</a>.
          </>
        )}
      </p>
      {r.certificate ? (
        <div class="buttons">
          <button type="button" class="button small" onClick={() => save(`${name}.pem`, r.certificate!, "application/x-pem-file")}>
            <Icon name="download" />
            Certificate
          </button>
          <button type="button" class="button small" onClick={() => save(`${name}-chain.pem`, r.certificate! + (r.chain ?? ""), "application/x-pem-file")}>
            <Icon name="download" />
            With chain
          </button>
        </div>
      ) : (
        <p>Its profile keeps no copy: who asked for it has the only one.</p>
      )}
    </Notice>
  );
}

function Standing({ request: r, me }: { request: Request; me: Me }) {
  const last = r.comments.filter((c) => c.decision).at(-1);
  if (r.status === "done") return <Delivered request={r} me={me} />;
  if (r.status === "rejected")
    return (
      <Notice tone="bad">
        <p>
          <strong>Rejected</strong>
          {last && (
            <>
              {" "}
              by <Name text={last.by} />
              {last.text && (
                <>
                  : <Name text={last.text} />
                </>
              )}
            </>
          )}
        </p>
      </Notice>
    );
  if (r.status === "expired")
    return (
      <Notice tone="warn">
        <p>
          <strong>Nobody decided in time.</strong> Whoever asked has to ask again.
        </p>
      </Notice>
    );
  if (r.mine)
    return (
      <Notice tone="info">
        <p>
          <strong>It waits for somebody else's word.</strong> Leave this page open, or come back: the certificate will be here. Decided by <Time at={r.expires_at} date /> at the latest.
        </p>
      </Notice>
    );
  return r.may_decide ? null : <Notice tone="info">The profile wants other roles or groups to decide this.</Notice>;
}

function OneRequest({ id, me }: PageProps & { id: string }) {
  useTitle("Request");
  const one = useLoad(
    async (signal) => {
      const request = await api<Request>(`/requests/${encodeURIComponent(id)}`, { signal });
      const csr = said(request, "csr");
      const before = said(request, "predecessor");
      const text = armoured("CERTIFICATE REQUEST", csr) + armoured("CERTIFICATE", before);
      const [asked, old] = csr ? await api<Page<Described>>("/describe", { method: "POST", body: text, signal }).then((p) => p.items, () => []) : [];
      return { request, asked, old };
    },
    [id],
    0,
    (e: Event) => e.subject === `request/${id}` || e.type === "certificate.issued",
  );
  const back = { href: href(["requests"]), text: "Requests" };
  if (!one.data)
    return (
      <>
        <Head title="Request" back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  const { request: r, asked, old } = one.data;
  const names = asked?.subjectAltName ?? [];
  const name = commonName(asked?.subject ?? "") || names[0]?.replace(/^[a-zA-Z]+:/, "") || said(r, "device") || "Request";
  const speaks = r.status === "pending" && (may(me, "admin", "operator") || r.mine || r.may_decide);
  return (
    <>
      <Head title={<><Name text={name} /> <Badge>{r.status}</Badge></>} lead={<>Asked <Time at={r.created_at} /> by <Name text={r.asked_by} />{r.comments.length > 0 && `, ${plural(r.comments.length, "comment")}`}</>} back={back} />
      {one.problem && <ProblemBox problem={one.problem} onRetry={one.reload} />}
      <Standing request={r} me={me} />
      <div class="columns">
        <Panel title="What is asked">
          <Facts
            of={[
              ["Subject", <Name text={asked?.subject} empty="empty" />],
              names.length > 0 && ["Names", names.map((n) => <div key={n}><Name text={n} /></div>)],
              asked?.key && ["Key", asked.key],
              ["Profile", <To me={me} path="profiles" text={said(r, "profile")} />],
              said(r, "device") && ["Device", <a href={href(["devices", said(r, "device")])}><Name text={said(r, "device")} /></a>],
              said(r, "kind") && ["Kind", said(r, "kind")],
              old?.serial && ["Replaces", <To me={me} path="certificates" text={old.serial.toLowerCase().replace(/[^0-9a-f]/g, "")} />],
            ]}
          />
        </Panel>
        <Panel title="Who asks, and why it waits">
          <Facts
            of={[
              ["Caller", <><Name text={r.asked_by} /> <span class="faint">{said(r, "caller_kind")}</span></>],
              said(r, "roles") && ["Roles", said(r, "roles")],
              ["Door", said(r, "door")],
              ["Endpoint", <Name text={said(r, "endpoint")} />],
              ["From", <Name text={said(r, "peer")} />],
              said(r, "rule") && ["Rule", <code>{said(r, "rule")}</code>],
              r.status === "pending" && ["Decide until", <Until at={r.expires_at} />],
            ]}
          />
        </Panel>
      </div>
      <Talk request={r} speaks={speaks} onDone={one.reload} />
      {r.may_decide && <Decide request={r} onDone={one.reload} />}
    </>
  );
}
