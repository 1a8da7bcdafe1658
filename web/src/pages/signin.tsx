/* The door to the console: a token of the API. */
import { useState } from "preact/hooks";
import { signIn } from "../lib/api";
import { useAction, useTitle } from "../ui/hooks";
import { Mark } from "../ui/icons";
import { Notice, ProblemBox, TextField } from "../ui/parts";

export function SignIn({ why, onDone }: { why: string; onDone: () => void }) {
  useTitle("Sign in");
  const [token, setToken] = useState("");
  const [tenant, setTenant] = useState("");
  const [elsewhere, setElsewhere] = useState(false);
  const enter = useAction(async () => {
    await signIn(token.trim().replace(/^Bearer\s+/i, ""), tenant.trim());
    onDone();
  });
  return (
    <main class="signin">
      <div class="signin-card">
        <div class="signin-brand">
          <Mark size={52} />
          <h1>Touchmark</h1>
          <p>Strikes an identity, records it, watches over it, and takes it back.</p>
        </div>
        <form
          onSubmit={(e) => {
            e.preventDefault();
            void enter.run();
          }}
        >
          {why && !enter.problem && <Notice tone="warn">{`You were signed out: ${why}`}</Notice>}
          {enter.problem && <ProblemBox problem={enter.problem} />}
          <input type="text" value="touchmark" autocomplete="username" readOnly hidden />
          <TextField label="API token" type="password" value={token} onInput={setToken} autofocus mono autocomplete="current-password" hint="It stays in this tab, and goes when the tab is closed." />
          {elsewhere && <TextField label="Tenant" value={tenant} onInput={setTenant} optional hint="Where the token's principal lives; empty: the default tenant." />}
          <button type="submit" class="button primary wide" disabled={enter.busy || !token.trim()}>
            {enter.busy ? "Signing in…" : "Sign in"}
          </button>
          {!elsewhere && (
            <button type="button" class="button plain" onClick={() => setElsewhere(true)}>
              The token belongs to another tenant
            </button>
          )}
        </form>
        <details class="signin-help">
          <summary>Where do I get a token?</summary>
          <p>
            The first administrator's lies in the house: <code>admin/token</code> below the home that <code>touchmark init</code> made.
          </p>
          <p>
            Others are made by an administrator: <code>touchmark token create --principal NAME</code>, or here under Tokens.
          </p>
        </details>
      </div>
    </main>
  );
}
