/* Requests that wait for a person: look, approve, reject. */
import { useState } from "preact/hooks";
import { api, may, type Me } from "../lib/api";
import { commonName } from "../lib/format";
import { href, replaceQuery } from "../lib/router";
import type { Described, Page, Request } from "../lib/types";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Badge, Chips, Empty, Facts, Head, Loading, Name, Notice, Panel, ProblemBox, TextField, Time } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

const STATUS: [string, string][] = [
  ["pending", "Waiting"],
  ["", "All"],
];

const said = (r: Request, key: string): string => (typeof r.request[key] === "string" ? (r.request[key] as string) : "");

const COLUMNS: Column<Request>[] = [
  { title: "Asked", cell: (r) => <Time at={r.created_at} /> },
  { title: "Status", cell: (r) => <Badge>{r.status}</Badge> },
  { title: "Profile", cell: (r) => <Name text={said(r, "profile")} /> },
  { title: "By", cell: (r) => <Name text={said(r, "caller")} /> },
  { title: "Door", cell: (r) => <Name text={said(r, "door")} />, minor: true },
  { title: "Until", cell: (r) => <Time at={r.expires_at} />, minor: true },
];

export function RequestsPage(props: PageProps) {
  return props.place.path[1] ? <OneRequest {...props} id={props.place.path[1]} /> : <AllRequests {...props} />;
}

function AllRequests({ place }: PageProps) {
  useTitle("Requests");
  const status = place.query.status ?? "pending";
  const paged = usePages<Request>((after, signal) => api<Page<Request>>("/requests", { query: { status: status === "all" ? "" : status, after, limit: 50 }, signal }), [status]);
  return (
    <>
      <Head title="Requests" lead="What a profile lets through only with a person's word, from every door." />
      <div class="filter">
        <Chips label="Status" value={status === "all" ? "" : status} options={STATUS} onChange={(s) => replaceQuery(place, { status: s || "all" })} />
      </div>
      <PagedTable
        caption="Requests"
        paged={paged}
        columns={COLUMNS}
        rowKey={(r) => r.id}
        href={(r) => href(["requests", r.id])}
        empty={
          <Empty icon="request" title={status === "pending" ? "Nothing waits" : "No requests yet"}>
            <p>
              A profile with <code>approval.required</code> makes requests wait here.
            </p>
          </Empty>
        }
      />
    </>
  );
}

function Decide({ request, me, onDone }: { request: Request; me: Me; onDone: () => void }) {
  const [comment, setComment] = useState("");
  const decide = useAction(async (verb: "approve" | "reject") => {
    await api(`/requests/${encodeURIComponent(request.id)}/${verb}`, { method: "POST", json: { comment } });
    onDone();
  });
  if (request.status !== "pending") return null;
  if (!may(me, "admin", "operator")) return <Notice tone="info">Your role may look at requests, not decide them.</Notice>;
  return (
    <Panel title="Decide">
      {decide.problem && <ProblemBox problem={decide.problem} />}
      <TextField label="Comment" value={comment} onInput={setComment} optional hint="For the register." />
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

function OneRequest({ id, me }: PageProps & { id: string }) {
  useTitle("Request");
  const one = useLoad(
    async (signal) => {
      const request = await api<Request>(`/requests/${encodeURIComponent(id)}`, { signal });
      const csr = said(request, "csr");
      const asked = csr ? await api<Page<Described>>("/describe", { method: "POST", body: `-----BEGIN CERTIFICATE REQUEST-----\n${csr}\n-----END CERTIFICATE REQUEST-----\n`, signal }).then((p) => p.items[0], () => undefined) : undefined;
      return { request, asked };
    },
    [id],
  );
  const back = { href: href(["requests"]), text: "Requests" };
  if (!one.data)
    return (
      <>
        <Head title="Request" back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  const { request: r, asked } = one.data;
  const serial = said(r, "serial") || said(r, "certificate");
  const names = asked?.subjectAltName ?? [];
  return (
    <>
      <Head title={<><Name text={commonName(asked?.subject ?? "") || said(r, "profile") || "Request"} /> <Badge>{r.status}</Badge></>} lead={<>Asked <Time at={r.created_at} /> by <Name text={said(r, "caller")} /></>} back={back} />
      {serial && (
        <Notice tone="good">
          <p>
            It became <a href={href(["certificates", serial])}>this certificate</a>.
          </p>
        </Notice>
      )}
      <div class="columns">
        <Panel title="What is asked for">
          <Facts
            of={[
              ["Subject", <Name text={asked?.subject} empty="empty" />],
              names.length > 0 && ["Names", names.map((n) => <div key={n}><Name text={n} /></div>)],
              asked?.key && ["Key", asked.key],
              ["Profile", <a href={href(["profiles", said(r, "profile")])}>{said(r, "profile")}</a>],
              said(r, "device") && ["Device", <a href={href(["devices", said(r, "device")])}>{said(r, "device")}</a>],
              said(r, "kind") && ["Kind", said(r, "kind")],
            ]}
          />
        </Panel>
        <Panel title="Who asks, and why it waits">
          <Facts
            of={[
              ["Caller", <><Name text={said(r, "caller")} /> <span class="faint">{said(r, "caller_kind")}</span></>],
              said(r, "roles") && ["Roles", said(r, "roles")],
              ["Door", said(r, "door")],
              ["Endpoint", <Name text={said(r, "endpoint")} />],
              ["From", <Name text={said(r, "peer")} />],
              said(r, "rule") && ["Rule", <code>{said(r, "rule")}</code>],
              ["Decide until", <Time at={r.expires_at} />],
            ]}
          />
        </Panel>
      </div>
      <Decide request={r} me={me} onDone={one.reload} />
    </>
  );
}
