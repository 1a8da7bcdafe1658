/* Tokens: one-time secrets that let devices and servers enroll, and those that programs and people use the API with. */
import { useState } from "preact/hooks";
import { api, may, type Me } from "../lib/api";
import type { Page, Resource, Token } from "../lib/types";
import { about, useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Copy, Dialog, Empty, Head, Name, Notice, ProblemBox, SelectField, TextField, Time } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

interface Made {
  id: string;
  secret: string;
  token: string;
  expires_at: string;
}

const claim = (t: Token, key: string): string => (typeof t.claims[key] === "string" ? (t.claims[key] as string) : "");
const kind = (t: Token): string => claim(t, "type") || (claim(t, "principal") ? "api" : "enrollment");

function allows(t: Token): string {
  if (kind(t) === "api") return [claim(t, "principal"), claim(t, "roles")].filter(Boolean).join(" · ");
  const names = Array.isArray(t.claims.names) ? (t.claims.names as string[]) : [];
  return [claim(t, "endpoint"), claim(t, "profile"), claim(t, "device"), ...names].filter(Boolean).join(" · ") || "any endpoint";
}

const endpointNames = (signal: AbortSignal): Promise<string[]> =>
  api<Page<Resource>>("/resources/endpoints", { signal }).then((p) => p.items.map((e) => e.name), () => []);

function CreateDialog({ me, onClose, onMade }: { me: Me; onClose: () => void; onMade: (made: Made) => void }) {
  const [type, setType] = useState("enrollment");
  const [endpoint, setEndpoint] = useState("");
  const [profile, setProfile] = useState("");
  const [device, setDevice] = useState("");
  const [names, setNames] = useState("");
  const [principal, setPrincipal] = useState("");
  const [ttl, setTtl] = useState("1d");
  const [uses, setUses] = useState("1");
  const endpoints = useLoad(endpointNames, []);
  const create = useAction(async () => {
    const json =
      type === "api"
        ? { type, principal: principal.trim(), ttl }
        : { type, endpoint, profile: profile.trim(), device: device.trim(), ttl, uses: Number(uses), names: names.split(/[\s,]+/).filter(Boolean) };
    onMade(await api<Made>("/tokens", { method: "POST", json }));
  });
  return (
    <Dialog title="Create a token" onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void create.run();
        }}
      >
        {create.problem && <ProblemBox problem={create.problem} />}
        {may(me, "admin") && (
          <Chips
            label="Kind"
            value={type}
            options={[
              ["enrollment", "To enroll"],
              ["api", "For the API"],
            ]}
            onChange={(t) => {
              setType(t);
              setTtl(t === "api" ? "30d" : "1d");
            }}
          />
        )}
        {type === "enrollment" ? (
          <>
            <SelectField label="Endpoint" value={endpoint} options={[["", "any"], ...(endpoints.data ?? []).map((n): [string, string] => [n, n])]} onChange={setEndpoint} hint="Where it may be used." />
            <TextField label="Names it may ask for" value={names} onInput={setNames} optional mono placeholder="DNS:web.example.org IP:192.0.2.7 CN=pump-7" hint="Separated by blanks; without any, those that the profile allows." />
            <div class="pair">
              <TextField label="Profile" value={profile} onInput={setProfile} optional hint="Else the endpoint's." />
              <TextField label="Device" value={device} onInput={setDevice} optional hint="The id it is for." />
              <TextField label="Lives for" value={ttl} onInput={setTtl} hint="1h, 1d, 2w …" />
              <TextField label="Uses" value={uses} onInput={setUses} type="number" hint="1: one-time, bound to the first key." />
            </div>
          </>
        ) : (
          <div class="pair">
            <TextField label="Principal" value={principal} onInput={setPrincipal} hint="Who it acts as." />
            <TextField label="Lives for" value={ttl} onInput={setTtl} hint="1h, 30d, 1y …" />
          </div>
        )}
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={create.busy || (type === "api" && !principal.trim())}>
            {create.busy ? "Creating…" : "Create"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function MadeDialog({ made, onClose }: { made: Made; onClose: () => void }) {
  return (
    <Dialog title="The token" onClose={onClose}>
      <Notice tone="warn">
        <p>
          <strong>It is shown this once.</strong> Only a hash of it is kept.
        </p>
      </Notice>
      <p class="secret">
        <code>{made.token}</code>
        <Copy text={made.token} label="Copy the token" />
      </p>
      <p class="faint small">
        As a bearer token, or over HTTP Basic: user <code>{made.id}</code>, password <code>{made.secret}</code>. It ends <Time at={made.expires_at} />.
      </p>
      <footer>
        <button type="button" class="button primary" onClick={onClose}>
          I have it
        </button>
      </footer>
    </Dialog>
  );
}

export function TokensPage({ me }: PageProps) {
  useTitle("Tokens");
  const [dialog, setDialog] = useState<"create" | Made>();
  const [ending, setEnding] = useState<Token>();
  const paged = usePages<Token>((after, signal) => api<Page<Token>>("/tokens", { query: { after, limit: 100 }, signal }), [], about("token."));
  const end = useAction(async (t: Token) => {
    await api(`/tokens/${encodeURIComponent(t.id)}`, { method: "DELETE" });
    setEnding(undefined);
    paged.reload();
  });
  const hands = may(me, "admin", "operator");
  const columns: Column<Token>[] = [
    { title: "Token", cell: (t) => <code>{t.id}</code> },
    { title: "Status", cell: (t) => <Badge>{t.status}</Badge> },
    { title: "Kind", cell: (t) => (kind(t) === "api" ? "API" : "enrollment") },
    { title: "For", cell: (t) => <Name text={allows(t)} /> },
    { title: "Used", cell: (t) => (t.max_uses ? `${t.uses ?? 0} of ${t.max_uses}` : "–"), minor: true },
    { title: "Until", cell: (t) => <Time at={t.expires_at} /> },
    { title: "Made by", cell: (t) => <Name text={t.created_by} />, minor: true },
    ...(hands
      ? [
          {
            title: "Revoke",
            cell: (t: Token) =>
              t.status === "open" ? (
                <button type="button" class="button small" onClick={() => setEnding(t)}>
                  Revoke…
                </button>
              ) : null,
          },
        ]
      : []),
  ];
  return (
    <>
      <Head title="Tokens" lead="Secrets that open an enrollment endpoint, or the API. None of them is kept in clear.">
        {hands && (
          <button type="button" class="button primary" onClick={() => setDialog("create")}>
            <Icon name="issue" />
            Create
          </button>
        )}
      </Head>
      <PagedTable
        caption="Tokens"
        paged={paged}
        columns={columns}
        rowKey={(t) => t.id}
        empty={
          <Empty icon="token" title="No tokens yet">
            <p>A one-time token lets a device or a server enroll that has no certificate yet.</p>
          </Empty>
        }
      />
      {dialog === "create" && <CreateDialog me={me} onClose={() => setDialog(undefined)} onMade={(made) => (setDialog(made), paged.reload())} />}
      {typeof dialog === "object" && <MadeDialog made={dialog} onClose={() => setDialog(undefined)} />}
      {ending && (
        <Dialog title="Revoke the token" onClose={() => setEnding(undefined)}>
          {end.problem && <ProblemBox problem={end.problem} />}
          <p>
            Whoever holds <code>{ending.id}</code> can't use it any more. Certificates that it brought stay as they are.
          </p>
          <footer>
            <button type="button" class="button" onClick={() => setEnding(undefined)}>
              Cancel
            </button>
            <button type="button" class="button danger" disabled={end.busy} onClick={() => end.run(ending)}>
              Revoke
            </button>
          </footer>
        </Dialog>
      )}
    </>
  );
}
