/* One certificate: what it says, its chain, its record, and taking it back. */
import { useState } from "preact/hooks";
import { api, apiText, may, save, type Me } from "../lib/api";
import { commonName, grouped, visibleLines } from "../lib/format";
import { href } from "../lib/router";
import type { Certificate, Described, Page } from "../lib/types";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { OwnerPanel } from "../ui/owner-panel";
import { Badge, Copy, Empty, Facts, Head, Hex, Loading, Name, Notice, Panel, ProblemBox, Tabs, Time, Until } from "../ui/parts";
import { ProofPanel } from "../ui/proof-panel";
import { Briefs, ReplaceButton, ReplacedNotice } from "../ui/replacing";
import { RevokeDialog } from "../ui/revoke";
import type { PageProps } from ".";

function Says({ pem }: { pem: string }) {
  const text = useLoad((signal) => apiText("/describe", { method: "POST", body: pem, accept: "text/plain", signal }), [pem]);
  if (text.problem) return <ProblemBox problem={text.problem} onRetry={text.reload} />;
  if (!text.data) return <Loading />;
  return (
    <div class="code-box">
      <Copy text={text.data} label="Copy the text" />
      <pre tabIndex={0}>{visibleLines(text.data)}</pre>
    </div>
  );
}

/** From the certificate up to the root, as clients will build it. */
function Chain({ cert }: { cert: Certificate }) {
  const chain = useLoad(
    async (signal) => {
      const own = cert.certificate ?? "";
      const above = cert.source === "issued" && cert.authority ? await apiText(`/authorities/${encodeURIComponent(cert.authority)}/chain`, { accept: "application/pem-certificate-chain", signal }) : "";
      const said = await api<Page<Described>>("/describe", { method: "POST", body: own + above, signal });
      return { pem: own + above, items: said.items };
    },
    [cert.serial],
  );
  if (chain.problem) return <ProblemBox problem={chain.problem} onRetry={chain.reload} />;
  if (!chain.data) return <Loading />;
  const { pem, items } = chain.data;
  const whole = items.length > 0 && items.at(-1)!.issuer === items.at(-1)!.subject;
  return (
    <>
      <ol class="chain">
        {items.map((c, i) => (
          <li key={c.sha256 ?? i}>
            <span class="chain-dot" aria-hidden="true" />
            <div>
              <strong>
                <Name text={commonName(c.subject ?? "")} empty="no name" />
              </strong>
              <span class="faint small">
                {i === 0 ? "this certificate" : c.issuer === c.subject ? "root" : "authority"} · {c.key} · signed with {c.signature}
              </span>
              <span class="faint small">
                until <Time at={c.notAfter?.replace("99991231235959Z", "9999-12-31T23:59:59Z")} date />
              </span>
              {c.sha256 && <Hex value={c.sha256} />}
            </div>
          </li>
        ))}
      </ol>
      {!whole && <p class="faint">The chain above is not known here.</p>}
      <p>
        <button type="button" class="button" onClick={() => save(`${cert.serial}-chain.pem`, pem, "application/x-pem-file")}>
          <Icon name="download" />
          Chain as PEM
        </button>
      </p>
    </>
  );
}

function Summary({ cert }: { cert: Certificate }) {
  const said = useLoad(async (signal) => (cert.certificate ? (await api<Page<Described>>("/describe", { method: "POST", body: cert.certificate, signal })).items[0] : undefined), [cert.serial]);
  const d = said.data;
  const list = (values?: string[]) => (values?.length ? values.map((v) => <div key={v}><Name text={v} /></div>) : undefined);
  return (
    <div class="columns">
      <Panel title="Identity">
        <Facts
          of={[
            ["Subject", <Name text={cert.subject} empty="empty" />],
            d?.subjectAltName && ["Names", list(d.subjectAltName)],
            ["Serial", <Hex value={cert.foreign_serial ?? cert.serial} />],
            ["Fingerprint", <Hex value={cert.fingerprint} />],
            d?.key && ["Key", d.key],
            d?.keySha256 && ["Key SHA-256", <Hex value={d.keySha256} />],
            d?.keyUsage && ["Key usage", d.keyUsage.join(", ")],
            d?.extKeyUsage && ["Extended usage", d.extKeyUsage.join(", ")],
          ]}
        />
      </Panel>
      <Panel title="Life">
        <Facts
          of={[
            ["Status", <Badge>{cert.status}</Badge>],
            cert.revoked_at && [cert.status === "on-hold" ? "On hold since" : "Revoked", <Time at={cert.revoked_at} />],
            cert.reason && ["Reason", cert.reason],
            ["Valid from", <Until at={cert.not_before} />],
            ["Valid until", <Until at={cert.not_after} />],
            ["Authority", cert.source === "issued" ? <a href={href(["authorities", cert.authority])}>{cert.authority}</a> : <Name text={cert.authority} />],
            cert.profile && ["Profile", <><a href={href(["profiles", cert.profile])}>{cert.profile}</a> <span class="faint">version {cert.profile_version}</span></>],
            cert.device && ["Device", <a href={href(["devices", cert.device])}><Name text={cert.device} /></a>],
            cert.endpoint && ["Endpoint", cert.endpoint],
            ["Source", cert.source],
            ["Recorded", <Time at={cert.issued_at} />],
            cert.replaces && cert.replaces.length > 0 && ["Replaces", <Briefs of={cert.replaces} />],
            cert.replaced_by && cert.replaced_by.length > 0 && ["Replaced by", <Briefs of={cert.replaced_by} />],
          ]}
        />
      </Panel>
    </div>
  );
}

function Actions({ cert, me, onChanged, onRevoke }: { cert: Certificate; me: Me; onChanged: () => void; onRevoke: () => void }) {
  const hands = may(me, "admin", "operator");
  const release = useAction(async () => {
    await api(`/certificates/${cert.serial}/release`, { method: "POST" });
    onChanged();
  });
  return (
    <>
      {release.problem && <ProblemBox problem={release.problem} />}
      {cert.certificate && (
        <button type="button" class="button" onClick={() => save(`${cert.serial}.pem`, cert.certificate!, "application/x-pem-file")}>
          <Icon name="download" />
          PEM
        </button>
      )}
      {hands && cert.status === "on-hold" && (
        <button type="button" class="button" disabled={release.busy} onClick={() => release.run()}>
          Release
        </button>
      )}
      <ReplaceButton cert={cert} me={me} />
      {(hands || may(me, "owner")) && cert.source === "issued" && cert.status !== "revoked" && cert.status !== "expired" && (
        <button type="button" class="button danger" onClick={onRevoke}>
          Revoke…
        </button>
      )}
    </>
  );
}

export function CertificatePage({ place, me }: PageProps) {
  const serial = place.path[1]!;
  const tab = place.query.tab ?? "summary";
  const [revoking, setRevoking] = useState(false);
  const cert = useLoad((signal) => api<Certificate>(`/certificates/${encodeURIComponent(serial)}`, { query: { succession: 1 }, signal }), [serial], 0, (e) => e.subject === `certificate/${serial}` || e.type === "certificate.issued");
  const name = cert.data ? commonName(cert.data.subject) || "no name" : "Certificate";
  useTitle(name);
  const back = { href: href(["certificates"]), text: "Certificates" };
  if (!cert.data)
    return (
      <>
        <Head title="Certificate" back={back} />
        {cert.problem ? <ProblemBox problem={cert.problem} onRetry={cert.reload} /> : <Loading rows={8} />}
      </>
    );
  const c = cert.data;
  const at = (key: string) => href(["certificates", serial], { tab: key });
  return (
    <>
      <Head title={<><Name text={name} /> <Badge>{c.status}</Badge></>} lead={<code>{grouped(c.serial)}</code>} back={back}>
        <Actions cert={c} me={me} onChanged={cert.reload} onRevoke={() => setRevoking(true)} />
      </Head>
      {c.status === "revoked" && (
        <Notice tone="bad">
          <p>
            Revoked <Time at={c.revoked_at} />: {c.reason}.
          </p>
        </Notice>
      )}
      <ReplacedNotice cert={c} />
      <Tabs value={tab} tabs={[["summary", "Summary", at("")], ["text", "As text", at("text")], ["chain", "Chain", at("chain")], ["proof", "Proof", at("proof")]]} />
      {tab === "summary" && (
        <>
          <Summary cert={c} />
          <OwnerPanel serial={c.serial} me={me} />
        </>
      )}
      {tab !== "summary" && tab !== "proof" && !c.certificate && (
        <Empty icon="certificate" title="The certificate itself is not kept">
          <p>Its profile's retention keeps what is needed to look it up and revoke it, not the certificate.</p>
        </Empty>
      )}
      {tab === "text" && c.certificate && <Says pem={c.certificate} />}
      {tab === "chain" && c.certificate && <Chain cert={c} />}
      {tab === "proof" && <ProofPanel path={`/register/certificate-proofs/${c.serial}`} name={c.serial} />}
      {revoking && (
        <RevokeDialog
          cert={c}
          onClose={() => setRevoking(false)}
          onDone={() => {
            setRevoking(false);
            cert.reload();
          }}
        />
      )}
    </>
  );
}
