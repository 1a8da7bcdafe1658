/* Who signs in here: how, when last, and what an administrator may do about it. */
import { useState } from "preact/hooks";
import { api, may, type Me } from "../lib/api";
import { href } from "../lib/router";
import type { Page } from "../lib/types";
import type { Credentials } from "../ui/account";
import { about, useAction, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Copy, Dialog, Empty, Head, Name, Notice, ProblemBox, TextField, Time } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

interface User {
  name: string;
  title: string;
  roles: string[];
  disabled: boolean;
  credentials: Credentials;
  sessions: number;
  signed_in_at: string | null;
  invited_until: string | null;
}

interface Invite {
  principal: string;
  invite: string;
  path: string;
  origin: string;
  expires_at: string | null;
}

function ways(u: User): string {
  const { passkeys, password } = u.credentials;
  return [passkeys.length > 0 && (passkeys.length === 1 ? "passkey" : `${passkeys.length} passkeys`), password && "password and codes"].filter(Boolean).join(", ");
}

function InviteDialog({ name, onClose, onDone }: { name: string; onClose: () => void; onDone: () => void }) {
  const [who, setWho] = useState(name);
  const [ttl, setTtl] = useState("2d");
  const [made, setMade] = useState<Invite>();
  const invite = useAction(async () => {
    setMade(await api<Invite>(`/users/${encodeURIComponent(who.trim())}/invite`, { method: "POST", json: { ttl } }));
    onDone();
  });
  const link = made ? (made.origin || location.origin) + made.path : "";
  return (
    <Dialog title="Invite" onClose={onClose}>
      {made ? (
        <>
          <Notice tone="warn">
            <p>
              <strong>The link is shown this once.</strong> Whoever opens it becomes <Name text={made.principal} />; it is good until <Time at={made.expires_at} />.
            </p>
          </Notice>
          <p class="secret">
            <code>{link}</code>
            <Copy text={link} label="Copy the link" />
          </p>
          <footer>
            <button type="button" class="button primary" onClick={onClose}>
              I have it
            </button>
          </footer>
        </>
      ) : (
        <form
          onSubmit={(e) => {
            e.preventDefault();
            void invite.run();
          }}
        >
          {invite.problem && <ProblemBox problem={invite.problem} />}
          <TextField label="Principal" value={who} onInput={setWho} autofocus={!name} hint="One that is there; make others under Principals." />
          <TextField label="Good for" value={ttl} onInput={setTtl} hint="1h, 2d, 1w …" />
          <footer>
            <button type="button" class="button" onClick={onClose}>
              Cancel
            </button>
            <button type="submit" class="button primary" disabled={invite.busy || !who.trim()}>
              Make the link
            </button>
          </footer>
        </form>
      )}
    </Dialog>
  );
}

function Does({ user, me, onInvite, onDone }: { user: User; me: Me; onInvite: (name: string) => void; onDone: () => void }) {
  const path = `/users/${encodeURIComponent(user.name)}`;
  const act = useAction(async (what: "state" | "sessions") => {
    if (what === "state") await api(`${path}/state`, { method: "POST", json: { disabled: !user.disabled } });
    else await api(`${path}/sessions`, { method: "DELETE" });
    onDone();
  });
  return (
    <span class="buttons does">
      <button type="button" class="button small" onClick={() => onInvite(user.name)} aria-label={`Invite ${user.name}`}>
        Invite
      </button>
      {user.sessions > 0 && (
        <button type="button" class="button small" disabled={act.busy} onClick={() => act.run("sessions")} aria-label={`End the sessions of ${user.name}`}>
          End sessions
        </button>
      )}
      {user.name !== me.principal && (
        <button type="button" class="button small" disabled={act.busy} onClick={() => act.run("state")} aria-label={`${user.disabled ? "Enable" : "Disable"} ${user.name}`}>
          {user.disabled ? "Enable" : "Disable"}
        </button>
      )}
      {act.problem && <span class="small bad-text">{act.problem.detail ?? act.problem.title}</span>}
    </span>
  );
}

export function UsersPage({ me }: PageProps) {
  useTitle("Users");
  const [inviting, setInviting] = useState<string>();
  const paged = usePages<User>((after, signal) => api<Page<User>>("/users", { query: { after, limit: 100 }, signal }), [], about("user.", "session.", "passkey.", "password.", "resource."));
  const admin = may(me, "admin");
  const columns: Column<User>[] = [
    { title: "User", cell: (u) => <><a href={href(["principals", u.name])}><Name text={u.name} /></a><span class="faint small clip"><Name text={u.title} empty="" /></span></>, class: "stack" },
    { title: "Roles", cell: (u) => <>{u.roles.join(", ")} {u.disabled && <Badge tone="bad">disabled</Badge>}</> },
    { title: "Signs in by", cell: (u) => ways(u) || (u.invited_until ? <span class="faint">invited until <Time at={u.invited_until} /></span> : <span class="faint none">–</span>) },
    { title: "Last", cell: (u) => <Time at={u.signed_in_at} />, minor: true },
    { title: "Sessions", cell: (u) => (u.sessions ? String(u.sessions) : <span class="faint none">–</span>), minor: true },
    ...(admin ? [{ title: "Do", cell: (u: User) => <Does user={u} me={me} onInvite={setInviting} onDone={paged.reload} /> }] : []),
  ];
  return (
    <>
      <Head title="Users" lead="Who may sign in in this tenant, and how. A user is a principal; an invitation lets it set up a passkey or a password.">
        {admin && (
          <button type="button" class="button primary" onClick={() => setInviting("")}>
            <Icon name="issue" />
            Invite
          </button>
        )}
      </Head>
      <PagedTable
        caption="Users"
        paged={paged}
        columns={columns}
        rowKey={(u) => u.name}
        empty={
          <Empty icon="people" title="No users in this tenant">
            <p>
              Make a <a href={href(["principals"])}>principal</a> and invite it. Administrators of the house act here, too; they are users of the house.
            </p>
          </Empty>
        }
      />
      {inviting !== undefined && <InviteDialog name={inviting} onClose={() => setInviting(undefined)} onDone={paged.reload} />}
    </>
  );
}
