/* The authorities: how they stand above each other, and how fresh their revocation lists are. */
import { api, apiText, may, save } from "../lib/api";
import { count, day, isNever } from "../lib/format";
import { href } from "../lib/router";
import type { AuthorityStatus, Crl, Described, Page, Resource, Status } from "../lib/types";
import { Hierarchy, shortEnd, type TreeNode } from "../ui/hierarchy";
import { about, useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Copy, Empty, Facts, Head, Hex, Loading, Name, Panel, ProblemBox, Tabs, Time, Until, type Tone } from "../ui/parts";
import { Document, History } from "./resources";
import type { PageProps } from ".";

/** Fresh; soon over (less than an eighth of its life is left); over; or none. */
export function crlState(crl: AuthorityStatus["crl"], now: number): { text: string; tone: Tone } {
  if (!crl) return { text: "no CRL", tone: "quiet" };
  const begin = Date.parse(crl.this_update);
  const end = Date.parse(crl.next_update);
  if (crl.stale || end <= now) return { text: "CRL expired", tone: "bad" };
  if (end - now < (end - begin) / 8) return { text: "CRL ends soon", tone: "warn" };
  return { text: "CRL fresh", tone: "good" };
}

export function AuthoritiesPage(props: PageProps) {
  return props.place.path[1] ? <OneAuthority {...props} name={props.place.path[1]} /> : <AllAuthorities {...props} />;
}

interface Node {
  status: AuthorityStatus;
  resource: Resource | undefined;
  below: Node[];
}

/** Each below the one that issued it; those whose issuer is elsewhere stand at the top. */
function treeOf(status: Status, resources: Resource[]): Node[] {
  const nodes = new Map<string, Node>(status.authorities.map((a) => [a.name, { status: a, resource: resources.find((r) => r.name === a.name), below: [] }]));
  const tops: Node[] = [];
  for (const node of nodes.values()) {
    const parent = String(node.resource?.parent ?? "");
    const above = parent !== node.status.name ? nodes.get(parent) : undefined;
    (above ? above.below : tops).push(node);
  }
  return tops;
}

function Branch({ node }: { node: Node }) {
  const { status: a, resource } = node;
  const crl = crlState(a.crl, Date.now());
  return (
    <li>
      <a class="authority" href={href(["authorities", a.name])}>
        <Icon name="authority" />
        <span class="row-main">
          <strong>{a.name}</strong>
          <span class="faint small clip">{resource?.title}</span>
        </span>
        <span class="authority-facts">
          {a.root && <Badge tone="info">root</Badge>}
          {a.offline && <Badge>offline</Badge>}
          {a.disabled && <Badge>disabled</Badge>}
          <Badge tone={crl.tone}>{crl.text}</Badge>
          <span class="faint small">{isNever(a.not_after) ? "no end" : `until ${day(a.not_after)}`}</span>
        </span>
      </a>
      {node.below.length > 0 && (
        <ul>
          {node.below.map((n) => (
            <Branch key={n.status.name} node={n} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** The same for the picture. */
function pictureOf({ status: a, resource, below }: Node): TreeNode {
  const crl = crlState(a.crl, Date.now());
  const kind = [a.root ? "root" : "issues", a.offline && "offline", a.disabled && "disabled", shortEnd(a.not_after)];
  return { name: a.name, title: resource?.title ?? "", note: kind.filter(Boolean).join(" · "), tone: crl.tone, state: crl.text, ended: a.disabled, below: below.map(pictureOf) };
}

function AllAuthorities(_: PageProps) {
  useTitle("Authorities");
  const all = useLoad(async (signal) => {
    const [status, resources] = await Promise.all([api<Status>("/status", { signal }), api<Page<Resource>>("/resources/authorities", { signal })]);
    return treeOf(status, resources.items);
  }, [], 0, about("crl.", "authority.", "ceremony.", "resource."));
  return (
    <>
      <Head title="Authorities" lead="Who signs, and under whom.">
        <button type="button" class="button" onClick={async () => save("trust-bundle.pem", await apiText("/trust-bundle", { accept: "*/*" }), "application/x-pem-file")}>
          <Icon name="download" />
          Roots
        </button>
      </Head>
      {all.problem && <ProblemBox problem={all.problem} onRetry={all.reload} />}
      {!all.data && !all.problem && <Loading />}
      {all.data?.length === 0 && (
        <Empty icon="authority" title="No authority in this tenant">
          <p>
            Make one with <code>touchmark ca create</code>.
          </p>
        </Empty>
      )}
      {all.data && all.data.length > 0 && (
        <>
        <Hierarchy tops={all.data.map(pictureOf)} />
        <ul class="tree">
          {all.data.map((n) => (
            <Branch key={n.status.name} node={n} />
          ))}
        </ul>
        </>
      )}
    </>
  );
}

function CrlPanel({ name, mayPublish }: { name: string; mayPublish: boolean }) {
  const crl = useLoad((signal) => api<Crl>(`/crls/${encodeURIComponent(name)}`, { signal }), [name], 0, about("crl."));
  const publish = useAction(async () => {
    await api(`/crls/${encodeURIComponent(name)}/publish`, { method: "POST" });
    crl.reload();
  });
  const c = crl.data;
  const pem = async () => save(`${name}.crl.pem`, (await api<Crl>(`/crls/${encodeURIComponent(name)}`, { query: { pem: 1 } })).crl ?? "", "application/x-pem-file");
  return (
    <Panel
      title="Revocation list"
      aside={
        c && (
          <>
            <button type="button" class="button small" onClick={pem}>
              <Icon name="download" />
              PEM
            </button>
            {mayPublish && (
              <button type="button" class="button small" disabled={publish.busy} onClick={() => publish.run()}>
                <Icon name="refresh" />
                Publish now
              </button>
            )}
          </>
        )
      }
    >
      {publish.problem && <ProblemBox problem={publish.problem} />}
      {crl.problem && (crl.problem.status === 404 ? <p class="faint">{crl.problem.detail}</p> : <ProblemBox problem={crl.problem} onRetry={crl.reload} />)}
      {!c && !crl.problem && <Loading rows={3} />}
      {c && (
        <Facts
          of={[
            ["Published", <Time at={c.this_update} />],
            ["Next by", <Until at={c.next_update} />],
            ["Entries", count(c.revoked)],
            ["Size", `${count(c.octets)} octets`],
            ["Number", <code>{c.number}</code>],
            ["Address", <Hex value={c.url} />],
            c.series && ["Signed ahead", `${c.series.count} lists`],
            c.series && ["Series ends", <Until at={c.series.ends} />],
            c.series && c.series.missing > 0 && ["Not on it", `${c.series.missing} revocations`],
          ]}
        />
      )}
    </Panel>
  );
}

function OneAuthority({ place, me, name }: PageProps & { name: string }) {
  useTitle(name);
  const tab = place.query.tab ?? "summary";
  const one = useLoad(
    async (signal) => {
      const resource = await api<Resource>(`/resources/authorities/${encodeURIComponent(name)}`, { signal });
      const pem = String(resource.certificate ?? "");
      const [said, text] = pem
        ? await Promise.all([api<Page<Described>>("/describe", { method: "POST", body: pem, signal }).then((p) => p.items[0]), apiText("/describe", { method: "POST", body: pem, accept: "text/plain", signal })])
        : [undefined, ""];
      return { resource, pem, said, text };
    },
    [name],
  );
  const back = { href: href(["authorities"]), text: "Authorities" };
  if (!one.data)
    return (
      <>
        <Head title={<Name text={name} />} back={back} />
        {one.problem ? <ProblemBox problem={one.problem} onRetry={one.reload} /> : <Loading />}
      </>
    );
  const { resource: r, pem, said, text } = one.data;
  const to = (key: string) => href(["authorities", name], { tab: key });
  const never = (time?: string) => time?.replace("99991231235959Z", "9999-12-31T23:59:59Z");
  return (
    <>
      <Head title={name} lead={<Name text={r.title} empty="" />} back={back}>
        <button type="button" class="button" onClick={() => save(`${name}.pem`, pem, "application/x-pem-file")}>
          <Icon name="download" />
          PEM
        </button>
        <a class="button" href={href(["certificates"], { q: `authority:${name}` })}>
          Its certificates
        </a>
      </Head>
      <Tabs value={tab} tabs={[["summary", "Summary", to("")], ["text", "As text", to("text")], ["yaml", "YAML", to("yaml")], ["history", "History", to("history")]]} />
      {tab === "summary" && (
        <div class="columns">
          <Panel title="Certificate">
            <Facts
              of={[
                ["Subject", <Name text={said?.subject} />],
                ["Issuer", r.parent ? <a href={href(["authorities", String(r.parent)])}>{String(r.parent)}</a> : <Name text={said?.issuer === said?.subject ? "itself" : said?.issuer} />],
                ["Valid from", <Until at={never(said?.notBefore)} />],
                ["Valid until", <Until at={never(said?.notAfter)} />],
                ["Key", said?.key],
                ["Signed with", said?.signature],
                said?.subjectKeyIdentifier && ["Key id", <Hex value={said.subjectKeyIdentifier} />],
                said?.sha256 && ["Fingerprint", <Hex value={said.sha256} />],
                ["Its key is", r.key ? <>here, in the signer as <code>{String(r.key)}</code></> : "offline"],
              ]}
            />
          </Panel>
          <CrlPanel name={name} mayPublish={may(me, "admin", "operator") && Boolean(r.key)} />
        </div>
      )}
      {tab === "text" && (
        <div class="code-box">
          <Copy text={text} label="Copy the text" />
          <pre tabIndex={0}>{text}</pre>
        </div>
      )}
      {tab === "yaml" && <Document resource={r} />}
      {tab === "history" && <History kind="authorities" name={name} />}
    </>
  );
}
