/* One event of the register: what it says, and the proof that it stands there. */
import { api } from "../lib/api";
import { moment, sentence, visibleLines } from "../lib/format";
import { href } from "../lib/router";
import type { EventPage as Events } from "../lib/types";
import { about } from "../ui/events";
import { useLoad, useTitle } from "../ui/hooks";
import { Copy, Empty, Facts, Head, Hex, Loading, Name, Panel, ProblemBox, Time } from "../ui/parts";
import { ProofPanel } from "../ui/proof-panel";
import type { PageProps } from ".";

/** The page of what an event is about, where there is one. */
function pageOf(subject: string): string | null {
  const [kind, ...rest] = subject.split("/");
  const name = rest.join("/");
  if (kind === "certificate") return href(["certificates", name]);
  if (kind === "device") return href(["devices", name]);
  if (kind === "authority") return href(["authorities", name]);
  if (kind === "resource") {
    const kinds: Record<string, string> = { Profile: "profiles", Endpoint: "endpoints", Authority: "authorities", TrustSet: "trust-sets", Principal: "principals", Tenant: "tenants" };
    const list = kinds[rest[0] ?? ""];
    return list ? href([list, rest.slice(1).join("/")]) : null;
  }
  return null;
}

export function EventPage({ place }: PageProps) {
  const pos = Number(place.path[1]);
  useTitle(`Event ${place.path[1]}`);
  const found = useLoad((signal) => api<Events>("/register/events", { query: { from: pos, limit: 1 }, signal }).then((p) => p.items[0]), [pos]);
  const back = { href: href(["register"]), text: "Register" };
  if (!found.data)
    return (
      <>
        <Head title={`Event ${place.path[1]}`} back={back} />
        {found.problem ? <ProblemBox problem={found.problem} onRetry={found.reload} /> : found.loading ? <Loading /> : <Empty icon="register" title="There is no such event" />}
      </>
    );
  const e = found.data;
  const to = pageOf(e.subject);
  const body = e.body ? JSON.stringify(e.body, null, 2) : "";
  return (
    <>
      <Head title={sentence(e.type)} lead={<Name text={about(e)} />} back={back} />
      <div class="columns">
        <Panel title={`Event ${e.pos}`}>
          <Facts
            of={[
              ["When", <>{moment(e.time)} UTC, <span class="faint"><Time at={e.time} /></span></>],
              ["Type", <code>{e.type}</code>],
              ["About", to ? <a href={to}><Name text={e.subject} /></a> : <Name text={e.subject} />],
              e.leaf && ["Leaf", <Hex value={e.leaf} />],
            ]}
          />
          {e.body ? (
            <div class="code-box">
              <Copy text={body} label="Copy the event" />
              <pre tabIndex={0}>{visibleLines(body)}</pre>
            </div>
          ) : (
            <p class="faint">The body was erased; the leaf stands, and with it every proof of its neighbours.</p>
          )}
        </Panel>
        {e.body ? <ProofPanel path={`/register/proofs/${e.pos}`} name={String(e.pos)} /> : null}
      </div>
    </>
  );
}
