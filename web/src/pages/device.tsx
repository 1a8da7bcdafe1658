/* One device: what it is, what it holds, and the steps of its life. */
import { useState } from "preact/hooks";
import { api, may } from "../lib/api";
import { plural } from "../lib/format";
import { href } from "../lib/router";
import type { Device } from "../lib/types";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Badge, Dialog, Empty, Facts, Head, Loading, Name, Notice, Panel, ProblemBox, SelectField, TextField, Time, type Fact } from "../ui/parts";
import { Table } from "../ui/table";
import { CERTIFICATE_COLUMNS } from "./certificates";
import { DEVICE_STATES, DeviceDialog } from "./devices";
import type { PageProps } from ".";

function StateDialog({ device, retire, onClose, onDone }: { device: Device; retire: boolean; onClose: () => void; onDone: (revoked: number) => void }) {
  const others = DEVICE_STATES.filter((s) => s !== device.state && s !== "retired");
  const [state, setState] = useState(retire ? "retired" : others[0]!);
  const [why, setWhy] = useState("");
  const step = useAction(async () => {
    const done = await api<{ revoked: number }>(`/devices/${encodeURIComponent(device.id)}/state`, { method: "POST", json: { state, why } });
    onDone(done.revoked);
  });
  return (
    <Dialog title={retire ? `Retire ${device.id}` : `A step for ${device.id}`} onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void step.run();
        }}
      >
        {step.problem && <ProblemBox problem={step.problem} />}
        {retire ? (
          <p>Every certificate that the device still holds is revoked (cessationOfOperation). A retired device does not come back.</p>
        ) : (
          <SelectField label="New state" value={state} options={others} onChange={setState} hint={`It is ${device.state} now; not every step is possible.`} />
        )}
        <TextField label="Why" value={why} onInput={setWhy} optional hint="For the register." />
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={`button ${retire ? "danger" : "primary"}`} disabled={step.busy}>
            {retire ? "Retire" : "Take the step"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

const named = (of: Record<string, string>): Fact[] => Object.entries(of).map(([key, value]): Fact => [key, <Name text={value} />]);

export function DevicePage({ place, me }: PageProps) {
  const id = place.path[1]!;
  useTitle(id);
  const [dialog, setDialog] = useState<"edit" | "step" | "retire">();
  const [said, setSaid] = useState("");
  const device = useLoad((signal) => api<Device>(`/devices/${encodeURIComponent(id)}`, { signal }), [id], 0, (e) => e.subject === `device/${id}` || e.body?.device === id);
  const back = { href: href(["devices"]), text: "Devices" };
  if (!device.data)
    return (
      <>
        <Head title={<Name text={id} />} back={back} />
        {device.problem ? <ProblemBox problem={device.problem} onRetry={device.reload} /> : <Loading rows={8} />}
      </>
    );
  const d = device.data;
  const held = d.certificates ?? [];
  const done = (text: string) => {
    setDialog(undefined);
    setSaid(text);
    device.reload();
  };
  return (
    <>
      <Head title={<><Name text={d.id} /> <Badge>{d.state}</Badge></>} lead={<Name text={[d.vendor, d.model].filter(Boolean).join(" · ")} empty="" />} back={back}>
        {may(me, "admin", "operator") && (
          <>
            <button type="button" class="button" onClick={() => setDialog("edit")}>
              Change…
            </button>
            {d.state !== "retired" && (
              <button type="button" class="button" onClick={() => setDialog("step")}>
                State…
              </button>
            )}
            {d.state !== "retired" && (
              <button type="button" class="button danger" onClick={() => setDialog("retire")}>
                Retire…
              </button>
            )}
          </>
        )}
      </Head>
      {said && <Notice tone="good">{said}</Notice>}
      {device.problem && <ProblemBox problem={device.problem} onRetry={device.reload} />}
      <div class="columns">
        <Panel title="Device">
          <Facts
            of={[
              ["Serial number", <Name text={d.serial} />],
              ["Vendor", <Name text={d.vendor} />],
              ["Model", <Name text={d.model} />],
              ["Owner", <Name text={d.owner} />],
              ["Place", <Name text={d.place} />],
              ["Batch", <Name text={d.batch} />],
            ]}
          />
        </Panel>
        <Panel title="Record">
          <Facts
            of={[
              ["State", <Badge>{d.state}</Badge>],
              ["Registered", <Time at={d.created_at} />],
              ["Changed", <Time at={d.updated_at} />],
              ["Events", <a href={href(["register"], { subject: `device/${d.id}` })}>in the register</a>],
              ...named(d.identifiers),
              ...named(d.tags),
            ]}
          />
        </Panel>
      </div>
      <Panel title={held.length ? plural(held.length, "certificate") : "Certificates"}>
        {held.length === 0 ? (
          <Empty icon="certificate" title="It holds no certificate">
            <p>It gets one when it enrolls; a token of its own helps it in.</p>
          </Empty>
        ) : (
          <Table caption="Certificates of this device" columns={CERTIFICATE_COLUMNS.filter((c) => c.title !== "Device")} rows={held} rowKey={(c) => c.serial} href={(c) => href(["certificates", c.serial])} />
        )}
      </Panel>
      {dialog === "edit" && <DeviceDialog device={d} onClose={() => setDialog(undefined)} onDone={() => done("Saved.")} />}
      {(dialog === "step" || dialog === "retire") && (
        <StateDialog
          device={d}
          retire={dialog === "retire"}
          onClose={() => setDialog(undefined)}
          onDone={(n) => done(n > 0 ? `Done; ${plural(n, "certificate")} revoked.` : "Done.")}
        />
      )}
    </>
  );
}
