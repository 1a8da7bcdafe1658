/* The devices: list, search by the beginning of the id, register one. */
import { useEffect, useState } from "preact/hooks";
import { api, may } from "../lib/api";
import { go, href, replaceQuery } from "../lib/router";
import type { Device, Page } from "../lib/types";
import { about, useAction, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Dialog, Empty, Head, Name, ProblemBox, TextField, Time } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

export const DEVICE_STATES = ["made", "shipped", "onboarded", "operating", "transferred", "retired"];
const STATES: [string, string][] = [["", "All"], ...DEVICE_STATES.map((s): [string, string] => [s, s.charAt(0).toUpperCase() + s.slice(1)])];

const COLUMNS: Column<Device>[] = [
  { title: "Device", cell: (d) => <Name text={d.id} /> },
  { title: "State", cell: (d) => <Badge>{d.state}</Badge> },
  { title: "Model", cell: (d) => <Name text={[d.vendor, d.model].filter(Boolean).join(" · ")} /> },
  { title: "Owner", cell: (d) => <Name text={d.owner} />, minor: true },
  { title: "Place", cell: (d) => <Name text={d.place} />, minor: true },
  { title: "Changed", cell: (d) => <Time at={d.updated_at} />, minor: true },
];

const FIELDS: [key: string, label: string, hint?: string][] = [
  ["serial", "Serial number", "The id where left empty."],
  ["vendor", "Vendor"],
  ["model", "Model"],
  ["owner", "Owner", "Whoever has the role owner for this name may act for the device."],
  ["place", "Place"],
  ["batch", "Batch"],
];

/** Register a device, or change the fields of one. */
export function DeviceDialog({ device, onClose, onDone }: { device?: Device; onClose: () => void; onDone: (id: string) => void }) {
  const [id, setId] = useState(device?.id ?? "");
  const [fields, setFields] = useState<Record<string, string>>(() => Object.fromEntries(FIELDS.map(([key]) => [key, device ? String(device[key as keyof Device] ?? "") : ""])));
  const put = useAction(async () => {
    const json = Object.fromEntries(Object.entries(fields).filter(([key, value]) => (device ? value !== device[key as keyof Device] : value !== "")));
    const made = await api<Device>(`/devices/${encodeURIComponent(id.trim())}`, { method: "PUT", json });
    onDone(made.id);
  });
  return (
    <Dialog title={device ? `Change ${device.id}` : "Register a device"} onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void put.run();
        }}
      >
        {put.problem && <ProblemBox problem={put.problem} />}
        {!device && <TextField label="Id" value={id} onInput={setId} autofocus mono hint="What its certificates and enrollments call it, usually the serial number." />}
        <div class="pair">
          {FIELDS.map(([key, label, hint]) => (
            <TextField key={key} label={label} value={fields[key] ?? ""} onInput={(v) => setFields({ ...fields, [key]: v })} optional hint={device && key === "serial" ? undefined : hint} />
          ))}
        </div>
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={put.busy || !id.trim()}>
            {put.busy ? "Saving…" : device ? "Save" : "Register"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

export function DevicesPage({ place, me }: PageProps) {
  useTitle("Devices");
  const prefix = place.query.q ?? "";
  const state = place.query.state ?? "";
  const [text, setText] = useState(prefix);
  useEffect(() => setText(prefix), [prefix]);
  const [registering, setRegistering] = useState(false);
  const paged = usePages<Device>((after, signal) => api<Page<Device>>("/devices", { query: { prefix, state, after, limit: 50 }, signal }), [prefix, state], about("device."));
  return (
    <>
      <Head title="Devices" lead="What certificates are for: its identifiers, its owner, and where it is in its life.">
        {may(me, "admin", "operator") && (
          <button type="button" class="button primary" onClick={() => setRegistering(true)}>
            <Icon name="issue" />
            Register
          </button>
        )}
      </Head>
      <form
        class="filter"
        role="search"
        aria-label="Devices"
        onSubmit={(e) => {
          e.preventDefault();
          replaceQuery(place, { q: text.trim() || undefined });
        }}
      >
        <div class="search wide">
          <Icon name="search" />
          <input type="search" value={text} aria-label="Search devices" placeholder="The beginning of an id" spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} />
          <button type="submit" class="button">
            Search
          </button>
        </div>
        <Chips label="State" value={state} options={STATES} onChange={(s) => replaceQuery(place, { state: s || undefined })} />
      </form>
      <PagedTable
        caption="Devices"
        paged={paged}
        columns={COLUMNS}
        rowKey={(d) => d.id}
        href={(d) => href(["devices", d.id])}
        empty={
          prefix || state ? (
            <Empty icon="search" title="No such device">
              <p>The search takes the beginning of an id, as it is written.</p>
            </Empty>
          ) : (
            <Empty icon="device" title="No devices yet">
              <p>
                Register one here, import many with <code>touchmark device import</code>, or let a trust set register what proves its birth certificate.
              </p>
            </Empty>
          )
        }
      />
      {registering && (
        <DeviceDialog
          onClose={() => setRegistering(false)}
          onDone={(id) => {
            setRegistering(false);
            go(["devices", id]);
          }}
        />
      )}
    </>
  );
}
