/* Ask for a certificate: what for, which names, with a key that this browser makes or a request that was made elsewhere. */
import { useEffect, useState } from "preact/hooks";
import { api, may, save, type Me } from "../lib/api";
import { guessName, kindsFor, makeKey, makeRequest, type Made, type San } from "../lib/pkcs10";
import { go, href } from "../lib/router";
import type { Choice, Decision, Device, EnrollAnswer, Page } from "../lib/types";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Empty, Field, Head, Loading, Name, Notice, Panel, ProblemBox, SelectField, TextField } from "../ui/parts";
import { Trace } from "./issue";
import type { PageProps } from ".";

type Origin = "browser" | "own";

function ChoiceField({ choices, value, onChange }: { choices: Choice[]; value: Choice; onChange: (c: Choice) => void }) {
  return (
    <>
      <SelectField
        label="What for"
        value={`${value.endpoint}/${value.profile}`}
        options={choices.map((c): [string, string] => [`${c.endpoint}/${c.profile}`, c.description ? `${c.profile}: ${c.description}` : c.profile])}
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
  return <SelectField label="Device" value={value} options={(devices.data ?? []).map((d): [string, string] => [d.id, d.model ? `${d.id} (${d.model})` : d.id])} onChange={onChange} hint="One of yours." />;
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

function sans(text: string): San[] {
  return text
    .split(/[\s,]+/)
    .map(guessName)
    .filter((s): s is San => s !== null);
}

const commonNameOf = (names: San[]): string => {
  const first = names.find((n) => n.kind === "dns" && !n.value.startsWith("*."));
  return first && first.value.length <= 64 ? first.value : "";
};

function KeyPart({ choice, made, saved, onMade, onSaved }: { choice: Choice; made: Made | undefined; saved: boolean; onMade: (m: Made) => void; onSaved: () => void }) {
  const kinds = kindsFor(choice.key_algorithms);
  const [kind, setKind] = useState("");
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

function useAsking(me: Me) {
  const choices = useLoad((signal) => api<Page<Choice>>("/enroll/choices", { signal }), [me.tenant]);
  const [picked, setPicked] = useState<Choice>();
  const items = choices.data?.items ?? [];
  const choice = picked ?? items.find((c) => c.approval && c.names.includes("dns")) ?? items.find((c) => c.names.includes("dns")) ?? items[0];
  return { choices, items, choice, pick: setPicked };
}

function Form({ me, items, choice, pick }: { me: Me; items: Choice[]; choice: Choice; pick: (c: Choice) => void }) {
  const [origin, setOrigin] = useState<Origin>("browser");
  const [names, setNames] = useState("");
  const [csr, setCsr] = useState("");
  const [device, setDevice] = useState("");
  const [made, setMade] = useState<Made>();
  const [saved, setSaved] = useState(false);
  const [decision, setDecision] = useState<Decision>();
  const [issued, setIssued] = useState<EnrollAnswer>();
  const body = async (more: object) => ({
    csr: origin === "own" ? csr.trim() : await makeRequest(made!, commonNameOf(sans(names)), sans(names)),
    endpoint: choice.endpoint,
    profile: choice.profile,
    device: device.trim(),
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
  const ready = origin === "own" ? csr.trim() !== "" : made !== undefined && sans(names).length > 0;
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
              <NamesField text={names} onInput={changed(setNames)} />
              <KeyPart
                choice={choice}
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
              <strong>Name the machine</strong> and make its key, or paste the request that the machine made.
            </li>
            <li>
              <strong>{choice.approval ? "Somebody looks at it." : "It is issued at once."}</strong>{" "}
              {choice.approval ? `They have ${choice.deadline}; questions and answers stand with the request.` : "No approval is needed for this profile."}
            </li>
            <li>
              <strong>Fetch the certificate</strong> {choice.approval ? "where the request is." : "here."}
            </li>
          </ol>
        )}
      </Panel>
    </div>
  );
}

export function AskPage({ me }: PageProps) {
  useTitle("New request");
  const { choices, items, choice, pick } = useAsking(me);
  return (
    <>
      <Head title="New request" lead="Ask for a certificate; the key can be made by this browser and stays with you." back={{ href: href(["requests"]), text: "Requests" }} />
      {choices.problem && <ProblemBox problem={choices.problem} onRetry={choices.reload} />}
      {!choices.data && !choices.problem && <Loading />}
      {choices.data && !choice && (
        <Empty icon="request" title="There is nothing that you may ask for">
          <p>
            An administrator lets people ask: a profile whose <code>callers</code> say principal and whose <code>roles</code> name yours, listed by an endpoint of protocol rest.
          </p>
        </Empty>
      )}
      {choice && <Form me={me} items={items} choice={choice} pick={pick} />}
    </>
  );
}
