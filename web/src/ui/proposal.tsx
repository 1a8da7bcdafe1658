/* What a profile that is still being written would decide: on a request of one's own, or on names for which one is made here. */
import { useEffect, useState } from "preact/hooks";
import { api, ApiError } from "../lib/api";
import { KEY_KINDS, commonNameOf, makeKey, makeRequest, sans } from "../lib/pkcs10";
import type { Decision, EnrollAnswer } from "../lib/types";
import { useAction } from "./hooks";
import { Chips, Panel, ProblemBox, SelectField, TextField } from "./parts";
import { Trace } from "./trace";

/** What cannot be read as YAML is said beside the box already; here it only stops the trial. */
function written(read: () => Record<string, unknown>): Record<string, unknown> {
  try {
    return read();
  } catch (e) {
    throw new ApiError({ title: "The text cannot be read", status: 0, detail: e instanceof Error ? e.message : String(e) });
  }
}

/** `read` gives the document as it is written now, or throws. */
export function TryProposal({ text, read }: { text: string; read: () => Record<string, unknown> }) {
  const [from, setFrom] = useState("names");
  const [names, setNames] = useState("");
  const [kind, setKind] = useState(KEY_KINDS[0]!.name);
  const [csr, setCsr] = useState("");
  const [device, setDevice] = useState("");
  const [decision, setDecision] = useState<Decision>();
  const attempt = useAction(async () => {
    setDecision(undefined);
    const document = written(read);
    const asked = sans(names);
    const request = from === "own" ? csr.trim() : await makeRequest(await makeKey(KEY_KINDS.find((k) => k.name === kind)!), commonNameOf(asked), asked);
    const answer = await api<EnrollAnswer>("/enroll", { method: "POST", json: { csr: request, device: device.trim(), dry_run: true, proposed: document } });
    setDecision(answer.decision);
  });
  /* A decision is one of the text that it was made by. */
  useEffect(() => {
    setDecision(undefined);
    attempt.clear();
  }, [text, from, names, kind, csr, device]);
  return (
    <div class="columns">
      <Panel title="Try it on a request">
        <form
          onSubmit={(e) => {
            e.preventDefault();
            void attempt.run();
          }}
        >
          <Chips
            label="What is asked"
            value={from}
            options={[
              ["names", "Names"],
              ["own", "A request"],
            ]}
            onChange={setFrom}
          />
          {from === "names" ? (
            <>
              <TextField label="Names to try" value={names} onInput={setNames} rows={2} mono placeholder="pump-7.example.org" hint="A request for them is made here, with a key that is thrown away." />
              <SelectField label="Kind of key" value={kind} options={KEY_KINDS.map((k): [string, string] => [k.name, k.title])} onChange={setKind} />
            </>
          ) : (
            <TextField label="Request to try" value={csr} onInput={setCsr} rows={6} mono placeholder="-----BEGIN CERTIFICATE REQUEST-----" hint="PEM or base64 of PKCS#10, CRMF or SPKAC." />
          )}
          <TextField label="Device" value={device} onInput={setDevice} optional />
          <div class="buttons">
            <button type="submit" class="button" disabled={attempt.busy || (from === "own" ? !csr.trim() : sans(names).length === 0)}>
              {attempt.busy ? "Deciding…" : "What would it decide?"}
            </button>
          </div>
        </form>
      </Panel>
      <Panel title="Decision by the text as it is">
        {attempt.problem && <ProblemBox problem={attempt.problem} />}
        {decision ? <Trace decision={decision} /> : !attempt.problem && <p class="faint">Nothing is saved and nothing is issued: the profile as it stands in the box decides, rule by rule.</p>}
      </Panel>
    </div>
  );
}
