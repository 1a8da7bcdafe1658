/* Taking a certificate back: why, and whether one is sure. */
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { commonName, grouped } from "../lib/format";
import { useAction } from "./hooks";
import { Dialog, Name, ProblemBox, SelectField, TextField } from "./parts";

const REASONS: [string, string][] = [
  ["unspecified", "unspecified"],
  ["keyCompromise", "keyCompromise: somebody else may have the key"],
  ["affiliationChanged", "affiliationChanged: the name is no longer right"],
  ["superseded", "superseded: another certificate took its place"],
  ["cessationOfOperation", "cessationOfOperation: it is no longer in use"],
  ["certificateHold", "certificateHold: on hold, can be released"],
  ["privilegeWithdrawn", "privilegeWithdrawn"],
];

export function RevokeDialog({ cert, onClose, onDone }: { cert: { serial: string; subject: string }; onClose: () => void; onDone: () => void }) {
  const [reason, setReason] = useState("superseded");
  const [comment, setComment] = useState("");
  const [sure, setSure] = useState(false);
  const hold = reason === "certificateHold";
  const revoke = useAction(async () => {
    await api(`/certificates/${cert.serial}/revoke`, { method: "POST", json: { reason, comment } });
    onDone();
  });
  return (
    <Dialog title={hold ? "Put on hold" : "Revoke certificate"} onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void revoke.run();
        }}
      >
        <p>
          <strong>
            <Name text={commonName(cert.subject)} empty="no name" />
          </strong>
          <br />
          <code class="small">{grouped(cert.serial)}</code>
        </p>
        {revoke.problem && <ProblemBox problem={revoke.problem} />}
        <SelectField label="Reason" value={reason} options={REASONS} onChange={setReason} hint="It stands on the revocation list (RFC 5280 5.3.1)." />
        <TextField label="Comment" value={comment} onInput={setComment} optional hint="For the register." />
        <label class="check">
          <input type="checkbox" checked={sure} onChange={(e) => setSure(e.currentTarget.checked)} />
          {hold ? "Whoever checks the revocation list will refuse it until it is released." : "This cannot be undone: whoever checks the revocation list will refuse it."}
        </label>
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button danger" disabled={!sure || revoke.busy}>
            {revoke.busy ? "Revoking…" : hold ? "Put on hold" : "Revoke"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
