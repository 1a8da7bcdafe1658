/* A proof from the register, checked in this browser with nothing but the proof and the register's key. */
import { api, save } from "../lib/api";
import { checkProof, parseCheckpoint, type Proof } from "../lib/proof";
import { useLoad } from "./hooks";
import { Icon } from "./icons";
import { Facts, Hex, Loading, Notice, Panel, ProblemBox } from "./parts";

export function ProofPanel({ path, name }: { path: string; name: string }) {
  const proof = useLoad(
    async (signal) => {
      const [document, key] = await Promise.all([api<Proof>(path, { signal }), api<{ key: string }>("/register/key", { signal })]);
      return { document, findings: await checkProof(document, key.key), checkpoint: parseCheckpoint(document.checkpoint) };
    },
    [path],
  );
  if (proof.problem) return <ProblemBox problem={proof.problem} onRetry={proof.reload} />;
  if (!proof.data) return <Loading />;
  const { document, findings, checkpoint } = proof.data;
  const broken = findings.some((f) => f.ok === false);
  return (
    <Panel
      title="Proof of inclusion"
      aside={
        <button type="button" class="button small" onClick={() => save(`proof-${name}.json`, JSON.stringify(document, null, 2) + "\n", "application/json")}>
          <Icon name="download" />
          Proof
        </button>
      }
    >
      <Notice tone={broken ? "bad" : "good"}>
        <p>
          <strong>{broken ? "The proof does not hold." : "This event stands in the register, and cannot be taken out unseen."}</strong>
        </p>
      </Notice>
      <ul class="findings">
        {findings.map((f) => (
          <li key={f.text} class={f.ok === false ? "bad" : f.ok ? "good" : "quiet"}>
            <Icon name={f.ok === false ? "close" : f.ok ? "check" : "info"} />
            {f.text}
          </li>
        ))}
      </ul>
      <Facts
        of={[
          ["Event", `number ${document.index}`],
          checkpoint && ["Checkpoint", `${checkpoint.size} events of ${checkpoint.origin}`],
          checkpoint && ["Root", <Hex value={checkpoint.root} />],
        ]}
      />
      <p class="faint small">
        The same without this console: <code>touchmark register verify-proof proof-{name}.json --key register.vkey</code>
      </p>
    </Panel>
  );
}
