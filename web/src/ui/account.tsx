/* How one signs in, and where one is signed in: for the person's own settings. */
import { useState } from "preact/hooks";
import { api, type HouseSession } from "../lib/api";
import type { Page } from "../lib/types";
import { about, useAction, useLoad } from "./hooks";
import { Icon } from "./icons";
import { NewWay, type Enrolled, type Enrollment } from "./new-way";
import { Badge, Dialog, Empty, Loading, Name, Notice, Panel, ProblemBox, Time } from "./parts";

export interface Credentials {
  passkeys: { id: string; label: string; rp_id: string; backed_up: boolean; created_at: string | null; used_at: string | null }[];
  password: boolean;
  recovery_codes: number;
}

export function Ways() {
  const found = useLoad((signal) => api<Credentials>("/account/credentials", { signal }), [], 0, about("passkey.", "password."));
  const [adding, setAdding] = useState<Enrollment>();
  const [codes, setCodes] = useState<string[]>();
  const begin = useAction(async () => setAdding(await api<Enrollment>("/account/enrollment", { method: "POST", json: {} })));
  const remove = useAction(async (path: string) => {
    await api(path, { method: "DELETE" });
    found.reload();
  });
  const added = (e: Enrolled) => {
    setAdding(undefined);
    if (e.recovery_codes.length > 0) setCodes(e.recovery_codes);
    found.reload();
  };
  const c = found.data;
  return (
    <Panel
      title="How you sign in"
      aside={
        <button type="button" class="button small" disabled={begin.busy} onClick={() => begin.run()}>
          <Icon name="issue" />
          Add
        </button>
      }
    >
      {begin.problem && <ProblemBox problem={begin.problem} />}
      {remove.problem && <ProblemBox problem={remove.problem} />}
      {found.problem && <ProblemBox problem={found.problem} onRetry={found.reload} />}
      {!c && !found.problem && <Loading rows={2} />}
      {c && (
        <ul class="rows plain-rows">
          {c.passkeys.map((k) => (
            <li key={k.id}>
              <span class="row-main">
                <Name text={k.label} empty="passkey" />
                <span class="faint small">
                  passkey for {k.rp_id}, used <Time at={k.used_at} />
                </span>
              </span>
              <button type="button" class="button small" disabled={remove.busy} onClick={() => remove.run(`/account/passkeys/${k.id}`)}>
                Remove
              </button>
            </li>
          ))}
          {c.password && (
            <li>
              <span class="row-main">
                Password and codes
                <span class="faint small">{c.recovery_codes} recovery codes left</span>
              </span>
              <button type="button" class="button small" disabled={remove.busy} onClick={() => remove.run("/account/password")}>
                Remove
              </button>
            </li>
          )}
          {c.passkeys.length === 0 && !c.password && (
            <li>
              <span class="faint">Nothing of your own yet: add a passkey, and tokens need not be carried about.</span>
            </li>
          )}
        </ul>
      )}
      {adding && (
        <Dialog title="Another way to sign in" onClose={() => setAdding(undefined)}>
          <NewWay enrollment={adding} onDone={added} />
        </Dialog>
      )}
      {codes && (
        <Dialog title="Recovery codes" onClose={() => setCodes(undefined)}>
          <Notice tone="warn">
            <p>
              <strong>They are shown this once.</strong> Each stands in for the app one time.
            </p>
          </Notice>
          <pre class="codes">{codes.join("\n")}</pre>
        </Dialog>
      )}
    </Panel>
  );
}

export function Sessions() {
  const found = useLoad((signal) => api<Page<HouseSession>>("/sessions", { signal }), [], 0, about("session."));
  const end = useAction(async (id: string) => {
    await api(`/sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
    found.reload();
  });
  return (
    <Panel title="Where you are signed in">
      {end.problem && <ProblemBox problem={end.problem} />}
      {found.problem && <ProblemBox problem={found.problem} onRetry={found.reload} />}
      {!found.data && !found.problem && <Loading rows={2} />}
      {found.data?.items.length === 0 && (
        <Empty icon="people" title="No browser has a session of yours">
          <p>A token that is pasted into a tab makes none.</p>
        </Empty>
      )}
      {found.data && (
        <ul class="rows plain-rows">
          {found.data.items.map((s) => (
            <li key={s.id}>
              <span class="row-main">
                <span>
                  <Name text={s.peer} /> {s.current && <Badge tone="good">this one</Badge>}
                </span>
                <span class="faint small">
                  by {s.method}, last <Time at={s.last_at} />, ends <Time at={s.expires_at} /> · <Name text={s.agent.slice(0, 80)} />
                </span>
              </span>
              {!s.current && (
                <button type="button" class="button small" disabled={end.busy} onClick={() => end.run(s.id)}>
                  End
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
