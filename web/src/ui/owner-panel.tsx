/* Who answers for a certificate: what holds and who says so, and the note that a person writes. */
import { useState } from "preact/hooks";
import { api, apiVersioned, may, type Me } from "../lib/api";
import { href } from "../lib/router";
import { about, useAction, useLoad } from "./hooks";
import { Dialog, Empty, Facts, Loading, Name, Panel, ProblemBox, SelectField, TextField, Time } from "./parts";

interface Note {
  by: string;
  owner: string;
  technical: string;
  place: string;
  service: string;
  criticality: string;
  tags: string[];
  comment: string;
  at: string | null;
}

interface Ownership {
  note: Note;
  holds: { field: string; value: string; from: string }[];
  tags: string[];
}

const TITLES: Record<string, string> = { owner: "Owner", technical: "Works on it", place: "Place", service: "Service", criticality: "Criticality" };
const CRITICALITY: [string, string][] = [["", "not said"], ["low", "low"], ["medium", "medium"], ["high", "high"], ["critical", "critical"]];

/** "rule/badge-readers" → by the rule badge-readers. */
function From({ from }: { from: string }) {
  const [kind = "", ...rest] = from.split("/");
  const name = rest.join("/");
  if (kind === "device")
    return (
      <>
        of device <a href={href(["devices", name])}>{name}</a>
      </>
    );
  return <>{kind === "rule" ? `by rule ${name}` : "by hand"}</>;
}

function NoteDialog({ serial, note, version, onClose, onDone }: { serial: string; note: Note; version: string; onClose: () => void; onDone: () => void }) {
  const [n, setNote] = useState(note);
  /* As it was when one began to write: what others say meanwhile is not overwritten unseen. */
  const [begun] = useState(version);
  const [tags, setTags] = useState(note.tags.join(" "));
  const set = (key: keyof Note) => (value: string) => setNote((was) => ({ ...was, [key]: value }));
  const save = useAction(async () => {
    const { owner, technical, place, service, criticality, comment } = n;
    const said = Object.fromEntries(Object.entries({ owner, technical, place, service, criticality, comment }).filter(([, v]) => v.trim() !== ""));
    await api(`/certificates/${serial}/note`, { method: "PUT", json: { ...said, tags: tags.split(/[\s,]+/).filter(Boolean) }, headers: { "If-Match": `"${begun}"` } });
    onDone();
  });
  return (
    <Dialog title="Who answers for it" onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void save.run();
        }}
      >
        {save.problem && <ProblemBox problem={save.problem} />}
        <TextField label="Owner" value={n.owner} onInput={set("owner")} optional autofocus hint="Who answers for it, and is told when something is wrong." />
        <TextField label="Works on it" value={n.technical} onInput={set("technical")} optional />
        <TextField label="Place" value={n.place} onInput={set("place")} optional />
        <TextField label="Service" value={n.service} onInput={set("service")} optional hint="What it is for." />
        <SelectField label="Criticality" value={n.criticality} options={CRITICALITY} onChange={set("criticality")} />
        <TextField label="Tags" value={tags} onInput={setTags} optional hint="Words to find it by: tag:pci" />
        <TextField label="Comment" value={n.comment} onInput={set("comment")} optional rows={2} />
        <p class="hint">What stays empty is said by rules, or by the device that has it.</p>
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={save.busy}>
            {save.busy ? "Saving…" : "Save"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

export function OwnerPanel({ serial, me }: { serial: string; me: Me }) {
  const found = useLoad((signal) => apiVersioned<Ownership>(`/certificates/${serial}/note`, { signal }), [serial], 0, about("certificate.noted", "resource."));
  const [writing, setWriting] = useState(false);
  const data = found.data?.data;
  const writes = may(me, "admin", "operator", "owner");
  const silent = data && data.holds.length === 0 && data.tags.length === 0 && !data.note.comment;
  return (
    <Panel
      title="Who answers for it"
      aside={
        data &&
        writes && (
          <button type="button" class="button small" onClick={() => setWriting(true)}>
            {silent ? "Say who…" : "Change…"}
          </button>
        )
      }
    >
      {found.problem && <ProblemBox problem={found.problem} onRetry={found.reload} />}
      {!data && !found.problem && <Loading rows={2} />}
      {silent && (
        <Empty icon="people" title="Nobody is said to answer for it">
          <p>
            Write it down here, or let rules of kind <code>Ownership</code> say it for many at once; a device's owner answers for its certificates.
          </p>
        </Empty>
      )}
      {data && !silent && (
        <Facts
          of={[
            ...data.holds.map((h): [string, ReturnType<typeof Name>] => [TITLES[h.field] ?? h.field, <><Name text={h.value} /> <span class="faint small"><From from={h.from} /></span></>]),
            data.tags.length > 0 && ["Tags", data.tags.map((t, i) => <>{i > 0 && ", "}<a href={href(["certificates"], { q: `tag:${t}` })}><Name text={t} /></a></>)],
            data.note.comment && ["Comment", <Name text={data.note.comment} />],
            data.note.by && ["Noted", <><Time at={data.note.at} /> by <Name text={data.note.by} /></>],
          ]}
        />
      )}
      {writing && found.data && (
        <NoteDialog
          serial={serial}
          note={found.data.data.note}
          version={found.data.version}
          onClose={() => setWriting(false)}
          onDone={() => {
            setWriting(false);
            found.reload();
          }}
        />
      )}
    </Panel>
  );
}
