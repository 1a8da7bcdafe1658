/* A request and a profile: what policy would decide, rule by rule; and, if wanted, the certificate. */
import { useEffect, useState } from "preact/hooks";
import { api, save, type Me } from "../lib/api";
import { href } from "../lib/router";
import type { Decision, Page, Resource } from "../lib/types";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Field, Head, Notice, Panel, ProblemBox, SelectField, TextField } from "../ui/parts";
import { Trace } from "../ui/trace";
import type { PageProps } from ".";

interface Answer {
  status?: string;
  serial?: string;
  certificate?: string;
  chain?: string;
  request?: string;
  decision?: Decision;
}

function useProfiles(me: Me): string[] {
  const [names, setNames] = useState<string[]>([]);
  const list = useLoad((signal) => api<Page<Resource>>("/resources/endpoints", { signal }), [me.tenant]);
  useEffect(() => {
    const rest = list.data?.items.filter((e) => e.protocol === "rest").flatMap((e) => (e.profiles as string[]) ?? []) ?? [];
    setNames([...new Set(rest)].sort());
  }, [list.data]);
  return names;
}

/** `fixed`: the profile is given by the page that this stands on. */
export function TryForm({ me, fixed }: { me: Me; fixed?: string }) {
  const profiles = useProfiles(me);
  const [csr, setCsr] = useState("");
  const [chosen, setChosen] = useState("");
  const [device, setDevice] = useState("");
  const [decision, setDecision] = useState<Decision>();
  const [issued, setIssued] = useState<Answer>();
  const profile = fixed ?? (chosen || profiles.find((p) => p === "server-internal-1y") || profiles[0] || "");
  const body = () => ({ csr: csr.trim(), ...(profile ? { profile } : {}), device: device.trim() });
  const tryIt = useAction(async () => {
    setDecision(undefined);
    setIssued(undefined);
    setDecision((await api<Answer>("/enroll", { method: "POST", json: { ...body(), dry_run: true } })).decision);
  });
  const issueIt = useAction(async () => {
    setIssued(await api<Answer>("/enroll", { method: "POST", json: body() }));
    setDecision(undefined);
  });
  const change = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setDecision(undefined);
    setIssued(undefined);
    tryIt.clear();
    issueIt.clear();
  };
  const load = async (file: File | undefined) => {
    if (!file || file.size > 256 << 10) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    const text = bytes[0] === 0x30 ? btoa(String.fromCharCode(...bytes)) : new TextDecoder().decode(bytes);
    change(setCsr)(text);
  };
  return (
    <div class="columns">
      <Panel title="Request">
        <form
          onSubmit={(e) => {
            e.preventDefault();
            void tryIt.run();
          }}
        >
          <TextField label="Certificate request" value={csr} onInput={change(setCsr)} rows={9} mono placeholder={"-----BEGIN CERTIFICATE REQUEST-----"} hint="PEM or base64 of PKCS#10, CRMF or SPKAC. The private key stays where it is." />
          <Field label="Or from a file">{(id) => <input id={id} type="file" onChange={(e) => void load(e.currentTarget.files?.[0])} />}</Field>
          {!fixed && profiles.length > 0 && <SelectField label="Profile" value={profile} options={profiles} onChange={change(setChosen)} />}
          {!fixed && profiles.length === 0 && <TextField label="Profile" value={chosen} onInput={change(setChosen)} optional hint="The endpoint's first when left empty." />}
          <TextField label="Device" value={device} onInput={change(setDevice)} optional hint="The id of the device that it is for." />
          <div class="buttons">
            <button type="submit" class="button primary" disabled={tryIt.busy || !csr.trim()}>
              {tryIt.busy ? "Deciding…" : "Try"}
            </button>
            <button type="button" class="button" disabled={issueIt.busy || (decision?.verdict !== "issue" && decision?.verdict !== "pend")} onClick={() => issueIt.run()}>
              {issueIt.busy ? "Issuing…" : decision?.verdict === "pend" ? "Ask for it" : "Issue"}
            </button>
          </div>
        </form>
      </Panel>
      <Panel title="Decision">
        {tryIt.problem && <ProblemBox problem={tryIt.problem} />}
        {issueIt.problem && <ProblemBox problem={issueIt.problem} />}
        {decision && <Trace decision={decision} />}
        {issued?.status === "issued" && (
          <>
            <Notice tone="good">
              <p>
                <strong>Issued.</strong> <a href={href(["certificates", issued.serial ?? ""])}>Look at the certificate</a>
              </p>
            </Notice>
            <div class="buttons">
              <button type="button" class="button" onClick={() => save(`${issued.serial}.pem`, issued.certificate ?? "", "application/x-pem-file")}>
                <Icon name="download" />
                PEM
              </button>
              <button type="button" class="button" onClick={() => save(`${issued.serial}-chain.pem`, (issued.certificate ?? "") + (issued.chain ?? ""), "application/x-pem-file")}>
                <Icon name="download" />
                With chain
              </button>
            </div>
          </>
        )}
        {issued?.status === "pending" && (
          <Notice tone="warn">
            <p>
              <strong>It waits for approval.</strong> <a href={href(["requests", issued.request ?? ""])}>Look at the request</a>
            </p>
          </Notice>
        )}
        {!decision && !issued && !tryIt.problem && !issueIt.problem && (
          <p class="faint">Trying issues nothing: the profile's rules are gone through one by one, and each says what it found.</p>
        )}
      </Panel>
    </div>
  );
}

export function IssuePage({ me }: PageProps) {
  useTitle("Issue or try");
  return (
    <>
      <Head title="Issue or try" lead="Give a request to policy: see what it decides and why, then have the certificate issued." />
      <TryForm me={me} />
    </>
  );
}
