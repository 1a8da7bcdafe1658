/* Ask for a certificate: what for, which names, with a key that this browser makes or a request that was made elsewhere. */
import { useEffect, useState } from "preact/hooks";
import { api, may, save, type Me } from "../lib/api";
import { visible } from "../lib/format";
import { commonNameOf, guessName, kindsFor, makeKey, makeRequest, sans, type Made } from "../lib/pkcs10";
import { go, href } from "../lib/router";
import type { Choice, Decision, Device, EnrollAnswer, Page } from "../lib/types";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Empty, Field, Head, Loading, Name, Notice, Panel, ProblemBox, SelectField, TextField } from "../ui/parts";
import { choiceFor, keyKindOf, OldAfter, OldPanel, renewable, useOld, type Old } from "../ui/replacing";
import { Trace } from "../ui/trace";
import type { PageProps } from ".";

type Origin = "browser" | "own";

function ChoiceField({ choices, value, onChange }: { choices: Choice[]; value: Choice; onChange: (c: Choice) => void }) {
  return (
    <>
      <SelectField
        label="What for"
        value={`${value.endpoint}/${value.profile}`}
        options={choices.map((c): [string, string] => [`${c.endpoint}/${c.profile}`, visible(c.description ? `${c.profile}: ${c.description}` : c.profile)])}
        onChange={(v) => onChange(choices.find((c) => `${c.endpoint}/${c.profile}` === v)!)}
      />
      <p class="hint choice-facts">
        {value.lives && <Badge tone="quiet">{value.lives === "never" ? "never ends" : `lives ${value.lives}`}</Badge>}
        {value.approval ? <Badge tone="warn">{`needs approval, within ${value.deadline}`}</Badge> : <Badge tone="good">issued at once</Badge>}
        {value.device && <Badge tone="info">for a registered device</Badge>}
      </p>
    </>
  );
}

function DeviceField({ me, value, needed, onChange }: { me: Me; value: string; needed: boolean; onChange: (v: string) => void }) {
  const own = !may(me, "admin", "operator");
  const devices = useLoad(async (signal) => (own ? (await api<Page<Device>>("/devices", { query: { limit: 500 }, signal })).items : []), [own]);
  useEffect(() => {
    if (own && !value && devices.data?.[0]) onChange(devices.data[0].id);
  }, [devices.data]);
  if (!own) return <TextField label="Device" value={value} onInput={onChange} optional={!needed} hint="The id of the device that it is for." />;
  if (devices.data?.length === 0)
    return (
      <Notice tone="warn">
        No device is yours. Somebody who keeps the devices has to enter you as the owner of the one that this is for.
      </Notice>
    );
  return <SelectField label="Device" value={value} options={(devices.data ?? []).map((d): [string, string] => [d.id, visible(d.model ? `${d.id} (${d.model})` : d.id)])} onChange={onChange} hint="One of yours." />;
}

/** The names as they are understood, while they are written. */
function NamesField({ text, onInput }: { text: string; onInput: (v: string) => void }) {
  const words = text.split(/[\s,]+/).filter(Boolean);
  return (
    <>
      <TextField label="Names" value={text} onInput={onInput} rows={3} mono placeholder={"pump-7.example.org\n192.0.2.7"} hint="Domain names, addresses, mail addresses or URIs, one a line. The first also becomes the common name where it is a domain name." />
      {words.length > 0 && (
        <p class="name-guesses" aria-live="polite">
          {words.map((w, i) => {
            const san = guessName(w);
            return (
              <span key={i} class={san ? "name-guess" : "name-guess bad"}>
                <span class="faint small">{san ? san.kind : "not a name"}</span> <Name text={w} />
              </span>
            );
          })}
        </p>
      )}
    </>
  );
}

function KeyPart({ choice, usual, made, saved, onMade, onSaved }: { choice: Choice; usual: string; made: Made | undefined; saved: boolean; onMade: (m: Made) => void; onSaved: () => void }) {
  const kinds = kindsFor(choice.key_algorithms);
  const [kind, setKind] = useState(usual);
  const chosen = kinds.find((k) => k.name === kind) ?? kinds[0];
  const make = useAction(async () => onMade(await makeKey(chosen!)));
  if (!chosen) return <Notice tone="warn">This profile takes no kind of key that a browser can make; bring a request of your own.</Notice>;
  return (
    <div class="key-part">
      {make.problem && <ProblemBox problem={make.problem} />}
      <SelectField label="Kind of key" value={chosen.name} options={kinds.map((k): [string, string] => [k.name, k.title])} onChange={setKind} />
      <div class="buttons">
        <button type="button" class="button" disabled={make.busy} onClick={() => make.run()}>
          <Icon name="token" />
          {make.busy ? "Making…" : made ? "Make another" : "Make the key"}
        </button>
        {made && (
          <button
            type="button"
            class={saved ? "button" : "button primary"}
            onClick={() => {
              save("private.key.pem", made.key, "application/x-pem-file");
              onSaved();
            }}
          >
            <Icon name={saved ? "check" : "download"} />
            {saved ? "Saved" : "Save the key"}
          </button>
        )}
      </div>
      <p class="hint">
        {made && !saved
          ? "Save it now: it is in this page and nowhere else, and goes with it."
          : "The key is made by this browser and never sent. It is saved as a file (PKCS#8, PEM, not encrypted): move it where it is used, and delete it here."}
      </p>
    </div>
  );
}

function useAsking(me: Me, old: Old | null) {
  const choices = useLoad((signal) => api<Page<Choice>>("/enroll/choices", { signal }), [me.tenant]);
  const [picked, setPicked] = useState<Choice>();
  const items = choices.data?.items ?? [];
  const choice = picked ?? (old && choiceFor(old, items)) ?? items.find((c) => c.approval && c.names.includes("dns")) ?? items.find((c) => c.names.includes("dns")) ?? items[0];
  return { choices, items, choice, pick: setPicked };
}

/** A renewal keeps to the profile's rules for such; otherwise it is a request like any other, with the same names. */
function RenewField({ old, choice, renews, onChange }: { old: Old; choice: Choice; renews: boolean; onChange: (v: boolean) => void }) {
  if (!renewable(old, choice))
    return (
      <p class="hint">
        {old.cert.source !== "issued"
          ? "It was issued elsewhere: what is asked for is a certificate of this house with the same names."
          : choice.profile !== old.cert.profile
            ? `It is of profile ${old.cert.profile}, which this one does not renew: what is asked for is a new certificate with the same names.`
            : "It cannot be renewed as it stands: what is asked for is a new certificate with the same names."}
      </p>
    );
  return (
    <label class="check">
      <input type="checkbox" checked={renews} onChange={(e) => onChange(e.currentTarget.checked)} />
      As its renewal{choice.inherits ? ": the names stay what they are" : ""}
    </label>
  );
}

function Form({ me, items, choice, pick, old }: { me: Me; items: Choice[]; choice: Choice; pick: (c: Choice) => void; old: Old | null }) {
  const [origin, setOrigin] = useState<Origin>("browser");
  const [names, setNames] = useState(old ? old.asked.join("\n") : "");
  const [csr, setCsr] = useState("");
  const [device, setDevice] = useState(old?.cert.device ?? "");
  const [wantsRenewal, setRenewal] = useState(true);
  const renews = old !== null && wantsRenewal && renewable(old, choice);
  /* A renewal that brings no names means its predecessor's, all of them. */
  const inherits = renews && choice.inherits;
  const [made, setMade] = useState<Made>();
  const [saved, setSaved] = useState(false);
  const [decision, setDecision] = useState<Decision>();
  const [issued, setIssued] = useState<EnrollAnswer>();
  const body = async (more: object) => ({
    csr: origin === "own" ? csr.trim() : inherits ? await makeRequest(made!, "", []) : await makeRequest(made!, commonNameOf(sans(names)), sans(names)),
    endpoint: choice.endpoint,
    profile: choice.profile,
    device: device.trim(),
    ...(renews ? { renews: old.cert.serial } : {}),
    ...more,
  });
  const changed = <T,>(set: (v: T) => void) => (v: T) => {
    set(v);
    setDecision(undefined);
    attempt.clear();
    ask.clear();
  };
  const attempt = useAction(async () => setDecision((await api<EnrollAnswer>("/enroll", { method: "POST", json: await body({ dry_run: true }) })).decision));
  const ask = useAction(async () => {
    const answer = await api<EnrollAnswer>("/enroll", { method: "POST", json: await body({}) });
    if (answer.request) go(["requests", answer.request]);
    else setIssued(answer);
  });
  const ready = origin === "own" ? csr.trim() !== "" : made !== undefined && (inherits || sans(names).length > 0);
  if (issued)
    return (
      <Panel title="Issued">
        <Notice tone="good">
          <p>
            <strong>The certificate is there.</strong> {may(me, "admin", "operator", "auditor") && <a href={href(["certificates", issued.serial ?? ""])}>Look at it</a>}
          </p>
        </Notice>
        <div class="buttons">
          <button type="button" class="button primary" onClick={() => save(`${issued.serial}-chain.pem`, (issued.certificate ?? "") + (issued.chain ?? ""), "application/x-pem-file")}>
            <Icon name="download" />
            Certificate with chain
          </button>
          <button type="button" class="button" onClick={() => save(`${issued.serial}.pem`, issued.certificate ?? "", "application/x-pem-file")}>
            <Icon name="download" />
            Certificate alone
          </button>
        </div>
        {old && <OldAfter old={old} me={me} />}
      </Panel>
    );
  return (
    <div class="columns">
      <Panel title="What is asked for">
        <form
          onSubmit={(e) => {
            e.preventDefault();
            void ask.run();
          }}
        >
          <ChoiceField choices={items} value={choice} onChange={changed(pick)} />
          {old && <RenewField old={old} choice={choice} renews={renews} onChange={changed(setRenewal)} />}
          <DeviceField me={me} value={device} needed={choice.device} onChange={changed(setDevice)} />
          <Field label="The key">
            {() => (
              <Chips
                label="Where the key is"
                value={origin}
                options={[
                  ["browser", "Make it here"],
                  ["own", "I have a request"],
                ]}
                onChange={(v) => changed(setOrigin)(v as Origin)}
              />
            )}
          </Field>
          {origin === "browser" ? (
            <>
              {!inherits && <NamesField text={names} onInput={changed(setNames)} />}
              <KeyPart
                choice={choice}
                usual={old ? keyKindOf(old) : ""}
                made={made}
                saved={saved}
                onMade={(m) => {
                  changed(setMade)(m);
                  setSaved(false);
                }}
                onSaved={() => setSaved(true)}
              />
            </>
          ) : (
            <TextField label="Certificate request" value={csr} onInput={changed(setCsr)} rows={8} mono placeholder="-----BEGIN CERTIFICATE REQUEST-----" hint="PEM or base64 of PKCS#10, CRMF or SPKAC." />
          )}
          <div class="buttons">
            <button type="submit" class="button primary" disabled={!ready || ask.busy || (origin === "browser" && !saved)}>
              {ask.busy ? "Asking…" : choice.approval ? "Ask for it" : "Get it"}
            </button>
            <button type="button" class="button" disabled={!ready || attempt.busy} onClick={() => attempt.run()}>
              {attempt.busy ? "Deciding…" : "What would happen?"}
            </button>
          </div>
        </form>
      </Panel>
      <div class="stacked">
        {old && <OldPanel old={old} />}
        <Panel title={decision || ask.problem || attempt.problem ? "What policy says" : "How it goes"}>
          {ask.problem && <ProblemBox problem={ask.problem} />}
          {attempt.problem && <ProblemBox problem={attempt.problem} />}
          {decision && <Trace decision={decision} />}
          {!decision && !ask.problem && !attempt.problem && (
            <ol class="steps">
              <li>
                <strong>Say what it is for.</strong> The profile decides what the certificate looks like and how long it lives.
              </li>
              <li>
                {old ? (
                  <>
                    <strong>Make the new key</strong>, or paste the request that the machine made. The old key stays where it is.
                  </>
                ) : (
                  <>
                    <strong>Name the machine</strong> and make its key, or paste the request that the machine made.
                  </>
                )}
              </li>
              <li>
                <strong>{choice.approval ? "Somebody looks at it." : "It is issued at once."}</strong>{" "}
                {choice.approval ? `They have ${choice.deadline}; questions and answers stand with the request.` : "No approval is needed for this profile."}
              </li>
              <li>
                <strong>Fetch the certificate</strong> {choice.approval ? "where the request is." : "here."}
              </li>
              {old && (
                <li>
                  <strong>Put it in place</strong>, see that it works, and take the old one back.
                </li>
              )}
            </ol>
          )}
        </Panel>
      </div>
    </div>
  );
}

export function AskPage(props: PageProps) {
  const replaces = props.place.query.replaces;
  return <Asking key={replaces ?? ""} me={props.me} replaces={replaces} />;
}

function Asking({ me, replaces }: { me: Me; replaces: string | undefined }) {
  useTitle(replaces ? "Replace a certificate" : "New request");
  const old = useOld(replaces);
  const { choices, items, choice, pick } = useAsking(me, old.data ?? null);
  const problem = choices.problem ?? old.problem;
  return (
    <>
      {replaces ? (
        <Head title="Replace a certificate" lead="A new certificate for the same names, with a new key; the old one holds until you take it back." back={{ href: href(["certificates", replaces]), text: "The certificate" }} />
      ) : (
        <Head title="New request" lead="Ask for a certificate; the key can be made by this browser and stays with you." back={{ href: href(["requests"]), text: "Requests" }} />
      )}
      {problem && <ProblemBox problem={problem} onRetry={() => (choices.reload(), old.reload())} />}
      {(!choices.data || old.data === undefined) && !problem && <Loading />}
      {choices.data && !choice && (
        <Empty icon="request" title="There is nothing that you may ask for">
          <p>
            An administrator lets people ask: a profile whose <code>callers</code> say principal and whose <code>roles</code> name yours, listed by an endpoint of protocol rest.
          </p>
        </Empty>
      )}
      {choice && old.data !== undefined && <Form me={me} items={items} choice={choice} pick={pick} old={old.data} />}
    </>
  );
}
