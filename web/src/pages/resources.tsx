/* Resources of every kind that has no page of its own: the list, one of them as YAML or JSON, and its history. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api, may, save, type Me } from "../lib/api";
import { plural, visibleLines } from "../lib/format";
import { go, href } from "../lib/router";
import type { Page, Resource } from "../lib/types";
import { toYaml } from "../lib/yaml";
import { documentText, Editor } from "../ui/editor";
import { about, useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon, type IconName } from "../ui/icons";
import { Badge, Copy, Dialog, Empty, Facts, Head, Loading, Name, Panel, ProblemBox, Tabs, Time, type Fact } from "../ui/parts";
import { Recipes } from "../ui/recipes";
import { PagedTable, usePages, type Column } from "../ui/table";
import { TryForm } from "./issue";
import type { PageProps } from ".";

interface Kind {
  one: string;
  many: string;
  lead: string;
  icon: IconName;
  columns: Column<Resource>[];
  facts?: (r: Resource) => Fact[];
  empty: ComponentChildren;
  /** What a new one begins with. */
  template: string;
}

const at = (r: Resource, ...path: string[]): unknown => path.reduce<unknown>((v, key) => (v && typeof v === "object" ? (v as Record<string, unknown>)[key] : undefined), r);
const text = (r: Resource, ...path: string[]): string => {
  const value = at(r, ...path);
  return value === undefined || value === null ? "" : String(value);
};
const list = (r: Resource, ...path: string[]): string[] => {
  const value = at(r, ...path);
  return Array.isArray(value) ? value.map((v) => (typeof v === "string" ? v : JSON.stringify(v))) : [];
};

export function lifetime(r: Resource): string {
  if (at(r, "lifetime", "not-after")) return text(r, "lifetime", "not-after") === "never" ? "never ends" : `until ${text(r, "lifetime", "not-after")}`;
  return text(r, "lifetime", "default");
}

/** What proves the right to enroll at an endpoint. */
function authentication(r: Resource): string {
  const ways = [at(r, "authentication", "certificate") && "certificate", at(r, "authentication", "token") && "token", ...list(r, "authentication", "trust-sets").map((t) => `birth certificate (${t})`)];
  return ways.filter(Boolean).join(at(r, "authentication", "require-both") ? " and " : ", ");
}

const changed: Column<Resource> = { title: "Changed", cell: (r) => <Time at={r.metadata.updated_at} />, minor: true };

const KINDS: Record<string, Kind> = {
  profiles: {
    one: "Profile",
    many: "Profiles",
    template: `kind: Profile
name: my-profile
description: what it is for
authority: issuing-ca
lifetime: {default: 90d, backdate: 1h}
subject:
  allow:
    - attr: CN
san:
  allow: {dns: {suffixes: [example.org]}}
  cn: copy
  min: 1
usage:
  key-usage: [digitalSignature]
  eku: [serverAuth]
renewal: {before: 30d, grace: 7d}
`,
    lead: "What a certificate of a kind looks like, and who may have one. The same behind every door.",
    icon: "profile",
    columns: [
      { title: "Profile", cell: (r) => <><span>{r.name}</span><span class="faint small clip"><Name text={text(r, "description")} empty="" /></span></>, class: "stack" },
      { title: "Lives", cell: (r) => lifetime(r), class: "short" },
      { title: "Authority", cell: (r) => text(r, "authority") || <span class="faint">the endpoint's</span>, class: "short" },
      { title: "Approval", cell: (r) => (at(r, "approval", "required") ? <Badge tone="warn">needed</Badge> : <span class="faint none">–</span>), minor: true },
      changed,
    ],
    facts: (r) => [
      ["Lives", lifetime(r)],
      text(r, "lifetime", "max") && ["At most", text(r, "lifetime", "max")],
      ["Authority", text(r, "authority") ? <a href={href(["authorities", text(r, "authority")])}>{text(r, "authority")}</a> : "the endpoint's"],
      ["Keys", list(r, "key", "algorithms").join(", ") || "ec-p256, ec-p384, rsa-2048+"],
      ["Usage", [...list(r, "usage", "key-usage"), ...list(r, "usage", "eku")].join(", ") || "–"],
      list(r, "doors").length > 0 && ["Doors", list(r, "doors").join(", ")],
      list(r, "callers").length > 0 && ["Callers", list(r, "callers").join(", ")],
      Boolean(at(r, "approval", "required")) && ["Approval", `by ${list(r, "approval", "roles").join(" or ") || "admin"}`],
      text(r, "renewal", "before") && ["Renewal", `from ${text(r, "renewal", "before")} before its end${text(r, "renewal", "grace") ? `, until ${text(r, "renewal", "grace")} after` : ""}`],
      text(r, "retention", "level") && ["Kept", `${text(r, "retention", "level")}${text(r, "retention", "keep-expired") ? `, ${text(r, "retention", "keep-expired")} after its end` : ""}`],
    ],
    empty: (
      <p>
        A ready one is written by <code>touchmark init</code>; your own come with <code>touchmark apply -f profile.yaml</code>.
      </p>
    ),
  },
  endpoints: {
    one: "Endpoint",
    many: "Endpoints",
    template: `kind: Endpoint
name: my-endpoint
title: who comes here
protocol: est
profiles: [server-internal-1y]
authentication: {token: true, certificate: true}
`,
    lead: "The doors that are open: a protocol, what may be had there, and what proves the right to it.",
    icon: "endpoint",
    columns: [
      { title: "Endpoint", cell: (r) => <><span>{r.name}</span><span class="faint small clip"><Name text={text(r, "title")} empty="" /></span></>, class: "stack" },
      { title: "Protocol", cell: (r) => <Badge tone="info">{text(r, "protocol").toUpperCase()}</Badge> },
      { title: "Profiles", cell: (r) => (list(r, "profiles").length > 2 ? plural(list(r, "profiles").length, "profile") : list(r, "profiles").join(", ")) },
      { title: "Authentication", cell: (r) => authentication(r), minor: true },
      changed,
    ],
    facts: (r) => [
      ["Protocol", text(r, "protocol").toUpperCase()],
      ["Profiles", list(r, "profiles").map((p) => <div key={p}><a href={href(["profiles", p])}>{p}</a></div>)],
      ["Authentication", authentication(r)],
      Boolean(at(r, "server-keygen")) && ["Server keys", "generated on request"],
      Boolean(at(r, "disabled")) && ["State", <Badge>disabled</Badge>],
    ],
    empty: <p>Without an endpoint nobody can enroll.</p>,
  },
  "trust-sets": {
    one: "Trust set",
    many: "Trust sets",
    template: `kind: TrustSet
name: my-vendor
title: whose devices
anchors:
  - |
    -----BEGIN CERTIFICATE-----
    …
    -----END CERTIFICATE-----
`,
    lead: "Whose birth certificates are believed: the roots of device makers.",
    icon: "trust",
    columns: [
      { title: "Trust set", cell: (r) => <><span>{r.name}</span><span class="faint small clip"><Name text={text(r, "title")} empty="" /></span></>, class: "stack" },
      { title: "Anchors", cell: (r) => String(list(r, "anchors").length) },
      { title: "Unknown devices", cell: (r) => (at(r, "auto-register") ? "are registered" : "are refused") },
      changed,
    ],
    empty: <p>Without one, devices enroll with tokens only.</p>,
  },
  principals: {
    one: "Principal",
    many: "Principals",
    template: `kind: Principal
name: my-principal
title: who it is
roles: [operator]
`,
    lead: "Who acts on the API in this tenant, and with which roles.",
    icon: "people",
    columns: [
      { title: "Principal", cell: (r) => <><span>{r.name}</span><span class="faint small clip"><Name text={text(r, "title")} empty="" /></span></>, class: "stack" },
      { title: "Roles", cell: (r) => list(r, "roles").join(", ") },
      { title: "Owner of", cell: (r) => <Name text={text(r, "owner-of")} />, minor: true },
      changed,
    ],
    empty: <p>This tenant has none of its own; administrators of the house act here with theirs.</p>,
  },
  tenants: {
    one: "Tenant",
    many: "Tenants",
    template: `kind: Tenant
name: my-tenant
title: whose it is
`,
    lead: "Domains of isolation: each with its own authorities, profiles, devices, roles and register.",
    icon: "tenant",
    columns: [
      { title: "Tenant", cell: (r) => <><span>{r.name}</span><span class="faint small clip"><Name text={text(r, "title")} empty="" /></span></>, class: "stack" },
      { title: "Number", cell: (r) => text(r, "number") },
      changed,
    ],
    empty: <p>There is always the default one.</p>,
  },
};

export function ResourcesPage(props: PageProps) {
  const [kind = "", name] = props.place.path;
  if (name === undefined && props.place.query.new && mayEdit(props.me, kind)) return <NewResource key={kind} kind={kind} />;
  return name === undefined ? <AllResources key={kind} kind={kind} me={props.me} /> : <OneResource key={kind + "/" + name} {...props} kind={kind} name={name} />;
}

/** Administrators change what is their tenant's; tenants are the house's. */
const mayEdit = (me: Me, kind: string): boolean => (kind === "tenants" ? me.roles.includes("house-admin") : may(me, "admin"));

function NewResource({ kind }: { kind: string }) {
  const k = KINDS[kind]!;
  useTitle(`New ${k.one.toLowerCase()}`);
  const one = /kind: (\w+)/.exec(k.template)![1]!;
  return (
    <>
      <Head title={`New ${k.one.toLowerCase()}`} lead="As YAML. What can stand in it says the reference in docs, and the house while you type." back={{ href: href([kind]), text: k.many }} />
      <Editor subject={{ kind, one, name: "", version: 0 }} start={k.template} onSaved={(name) => go([kind, name])} />
    </>
  );
}

function DeleteDialog({ kind, resource, onClose }: { kind: string; resource: Resource; onClose: () => void }) {
  const k = KINDS[kind]!;
  const remove = useAction(async () => {
    await api(`/resources/${kind}/${encodeURIComponent(resource.name)}`, { method: "DELETE", headers: { "If-Match": `"${resource.metadata.version}"` } });
    go([kind]);
  });
  return (
    <Dialog title={`Delete the ${k.one.toLowerCase()}`} onClose={onClose}>
      {remove.problem && <ProblemBox problem={remove.problem} />}
      <p>
        <strong>
          <Name text={resource.name} />
        </strong>{" "}
        can't be used any more from then on. Its versions stay, and certificates that were issued stay as they are.
      </p>
      <footer>
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="button danger" disabled={remove.busy} onClick={() => remove.run()}>
          Delete
        </button>
      </footer>
    </Dialog>
  );
}

function AllResources({ kind, me }: { kind: string; me: Me }) {
  const k = KINDS[kind]!;
  useTitle(k.many);
  const paged = usePages<Resource>((after, signal) => api<Page<Resource>>(`/resources/${kind}`, { query: { after, limit: 200 }, signal }), [kind], about("resource."));
  return (
    <>
      <Head title={k.many} lead={k.lead}>
        {mayEdit(me, kind) && (
          <a class="button primary" href={href([kind], { new: "1" })}>
            <Icon name="issue" />
            New {k.one.toLowerCase()}
          </a>
        )}
      </Head>
      <PagedTable
        caption={k.many}
        paged={paged}
        columns={k.columns}
        rowKey={(r) => r.name}
        href={(r) => href([kind, r.name])}
        empty={
          <Empty icon={k.icon} title={`No ${k.many.toLowerCase()}`}>
            {k.empty}
          </Empty>
        }
      />
    </>
  );
}

/** A document in one of its writings, to be read, copied or taken along. */
export function Document({ resource }: { resource: Resource }) {
  const { metadata: _, ...document } = resource;
  const yaml = toYaml(document, ["kind", "name", "title", "description"]);
  return (
    <div class="code-box">
      <Copy text={yaml} label="Copy the YAML" />
      <pre tabIndex={0}>{visibleLines(yaml)}</pre>
    </div>
  );
}

interface Version {
  version: number;
  deleted: boolean;
  updated_at: string;
  updated_by: string;
  resource: Record<string, unknown> | null;
}

export function History({ kind, name }: { kind: string; name: string }) {
  const history = useLoad((signal) => api<Page<Version>>(`/resources/${kind}/${encodeURIComponent(name)}/history`, { signal }), [kind, name]);
  if (history.problem) return <ProblemBox problem={history.problem} onRetry={history.reload} />;
  if (!history.data) return <Loading />;
  return (
    <Panel title="Every version">
      {[...history.data.items]
        .sort((a, b) => b.version - a.version)
        .map((v) => (
          <details class="version" key={v.version}>
            <summary>
              <strong>Version {v.version}</strong> {v.deleted && <Badge tone="bad">deleted</Badge>}
              <span class="faint">
                <Time at={v.updated_at} /> by <Name text={v.updated_by} />
              </span>
            </summary>
            {v.resource && <pre tabIndex={0}>{visibleLines(toYaml(v.resource, ["kind", "name", "title", "description"]))}</pre>}
          </details>
        ))}
    </Panel>
  );
}

function OneResource({ place, me, kind, name }: PageProps & { kind: string; name: string }) {
  const k = KINDS[kind]!;
  useTitle(name);
  const tab = place.query.tab ?? "summary";
  const one = useLoad((signal) => api<Resource>(`/resources/${kind}/${encodeURIComponent(name)}`, { signal }), [kind, name]);
  const [deleting, setDeleting] = useState(false);
  const back = { href: href([kind]), text: k.many };
  if (!one.data)
    return (
      <>
        <Head title={<Name text={name} />} back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  const r = one.data;
  const to = (key: string) => href([kind, name], { tab: key });
  const tabs: [string, string, string][] = [["summary", "Summary", to("")], ["json", "JSON", to("json")], ["history", "History", to("history")]];
  const trial = kind === "profiles" && me.roles.some((role) => role !== "auditor");
  if (trial) tabs.splice(1, 0, ["try", "Try a request", to("try")]);
  const { metadata: _, ...document } = r;
  const json = JSON.stringify(document, null, 2) + "\n";
  const edits = mayEdit(me, kind);
  if (edits) tabs.splice(-1, 0, ["edit", "Edit", to("edit")]);
  if (kind === "endpoints") tabs.splice(1, 0, ["clients", "Clients", to("clients")]);
  return (
    <>
      <Head title={<Name text={name} />} lead={<Name text={r.description ?? r.title} empty="" />} back={back}>
        <button type="button" class="button" onClick={() => save(`${name}.yaml`, toYaml(document, ["kind", "name", "title", "description"]), "application/yaml")}>
          <Icon name="download" />
          YAML
        </button>
        {edits && (
          <button type="button" class="button danger" onClick={() => setDeleting(true)}>
            Delete…
          </button>
        )}
      </Head>
      <Tabs value={tab} tabs={tabs} />
      {tab === "summary" && (
        <>
          <Panel>
            <Facts
              of={[
                ...(k.facts?.(r) ?? []),
                ["Version", <>{r.metadata.version}, <Time at={r.metadata.updated_at} /> by <Name text={r.metadata.updated_by} /></>],
              ]}
            />
          </Panel>
          <Panel title="As YAML">
            <Document resource={r} />
            <p class="faint small">
              {edits && (
                <>
                  <a href={to("edit")}>Change it here</a>, or in
                </>
              )}
              {!edits && "Change it in"} a file with <code>touchmark apply -f {name}.yaml</code>; <code>--dry-run</code> shows what would change.
            </p>
          </Panel>
        </>
      )}
      {tab === "json" && (
        <div class="code-box">
          <Copy text={json} label="Copy the JSON" />
          <pre tabIndex={0}>{visibleLines(json)}</pre>
        </div>
      )}
      {tab === "try" && trial && <TryForm me={me} fixed={name} />}
      {tab === "edit" && edits && (
        <Editor
          key={r.metadata.version}
          subject={{ kind, one: r.kind, name, version: r.metadata.version }}
          start={documentText(r)}
          onSaved={() => {
            one.reload();
            go([kind, name]);
          }}
        />
      )}
      {tab === "clients" && kind === "endpoints" && <Recipes resource={r} me={me} />}
      {tab === "history" && <History kind={kind} name={name} />}
      {deleting && <DeleteDialog kind={kind} resource={r} onClose={() => setDeleting(false)} />}
    </>
  );
}
