/* A new way to sign in: a passkey, or a password with an app that shows codes. With an invitation or in a session that is young. */
import { useState } from "preact/hooks";
import { api, asNobody, hasSession } from "../lib/api";
import { makePasskey, passkeysHere, type CreationJSON } from "../lib/passkey";
import { useAction } from "./hooks";
import { Icon } from "./icons";
import { Chips, Hex, ProblemBox, TextField } from "./parts";

export interface Enrollment {
  principal: string;
  tenant: string;
  expires_at: string | null;
  passkey: CreationJSON | null;
  no_passkeys?: string;
  totp: { ticket: string; secret: string; uri: string };
}

export interface Enrolled {
  recovery_codes: string[];
  session: unknown;
}

const send = (path: string, json: object): Promise<Enrolled> => (hasSession() ? api<Enrolled>(path, { method: "POST", json }) : asNobody<Enrolled>(path, { method: "POST", json }));

export function NewWay({ enrollment: e, invite, onDone }: { enrollment: Enrollment; invite?: string; onDone: (e: Enrolled) => void }) {
  const unable = e.passkey === null ? (e.no_passkeys ?? "the house takes none at this address") : passkeysHere() ? undefined : "this browser has none";
  const [way, setWay] = useState(unable ? "password" : "passkey");
  const [label, setLabel] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const more = invite ? { invite } : {};
  const key = useAction(async () => onDone(await send("/account/passkeys", { ...more, label: label.trim() || "passkey", credential: await makePasskey(e.passkey!) })));
  const word = useAction(async () => onDone(await send("/account/password", { ...more, password, ticket: e.totp.ticket, code: code.trim() })));
  return (
    <>
      <Chips
        label="Way"
        value={way}
        options={[
          ["passkey", "Passkey"],
          ["password", "Password and codes"],
        ]}
        onChange={setWay}
      />
      {way === "passkey" ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void key.run();
          }}
        >
          {key.problem && <ProblemBox problem={key.problem} />}
          <TextField label="What you call it" value={label} onInput={setLabel} optional placeholder="my phone" />
          <button type="submit" class="button primary wide" disabled={key.busy || unable !== undefined}>
            <Icon name="token" />
            {key.busy ? "Waiting for your device…" : "Set up a passkey"}
          </button>
          {unable && <p class="hint">Not here: {unable}.</p>}
        </form>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void word.run();
          }}
        >
          {word.problem && <ProblemBox problem={word.problem} />}
          <input type="text" value={e.principal} autocomplete="username" readOnly hidden />
          <TextField label="Password" type="password" value={password} onInput={setPassword} autocomplete="new-password" hint="Twelve characters or more." />
          <div class="field">
            <span class="label">Into the app</span>
            <Hex value={e.totp.secret} />
            <p class="hint">
              Type it in, or <a href={e.totp.uri}>open the app with it</a>.
            </p>
          </div>
          <TextField label="Code" value={code} onInput={setCode} mono autocomplete="one-time-code" hint="What the app shows now." />
          <button type="submit" class="button primary wide" disabled={word.busy || password.length < 12 || !code.trim()}>
            {word.busy ? "Setting up…" : "Set up the password"}
          </button>
        </form>
      )}
    </>
  );
}
