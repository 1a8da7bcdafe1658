/* The door to the console: a passkey, a password with a code, another provider, or a token of the API. */
import { useState } from "preact/hooks";
import { adoptSession, asNobody, signIn, type HouseSession } from "../lib/api";
import { passkeysHere, usePasskey } from "../lib/passkey";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Icon, Mark } from "../ui/icons";
import { Chips, Notice, ProblemBox, TextField } from "../ui/parts";

interface Methods {
  methods: string[];
  no_passkeys?: string;
  providers: { name: string; title: string; house: boolean }[];
}

type Way = "passkey" | "password" | "token";

function PasskeyForm({ tenant, why, onDone }: { tenant: string; why: string | undefined; onDone: () => void }) {
  const enter = useAction(async () => {
    adoptSession(await usePasskey(tenant));
    onDone();
  });
  const unable = why ?? (passkeysHere() ? undefined : "this browser has no passkeys");
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        void enter.run();
      }}
    >
      {enter.problem && <ProblemBox problem={enter.problem} />}
      <button type="submit" class="button primary wide" disabled={enter.busy || unable !== undefined}>
        <Icon name="token" />
        {enter.busy ? "Asking for it…" : "Sign in with a passkey"}
      </button>
      <p class="hint">{unable ? `Not here: ${unable}.` : "Your device asks for your finger, face or PIN. No name has to be typed."}</p>
    </form>
  );
}

function PasswordForm({ tenant, onDone }: { tenant: string; onDone: () => void }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const enter = useAction(async () => {
    adoptSession(await asNobody<HouseSession>("/session", { method: "POST", json: { method: "password", name: name.trim(), password, code: code.trim() } }, tenant));
    onDone();
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        void enter.run();
      }}
    >
      {enter.problem && <ProblemBox problem={enter.problem} />}
      <TextField label="Name" value={name} onInput={setName} autocomplete="username" autofocus />
      <TextField label="Password" type="password" value={password} onInput={setPassword} autocomplete="current-password" />
      <TextField label="Code" value={code} onInput={setCode} autocomplete="one-time-code" mono hint="From the app, or one of the recovery codes." />
      <button type="submit" class="button primary wide" disabled={enter.busy || !name.trim() || !password || !code.trim()}>
        {enter.busy ? "Signing in…" : "Sign in"}
      </button>
    </form>
  );
}

function TokenForm({ tenant, onDone }: { tenant: string; onDone: () => void }) {
  const [token, setToken] = useState("");
  const enter = useAction(async () => {
    await signIn(token.trim().replace(/^Bearer\s+/i, ""), tenant);
    onDone();
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        void enter.run();
      }}
    >
      {enter.problem && <ProblemBox problem={enter.problem} />}
      <input type="text" value="touchmark" autocomplete="username" readOnly hidden />
      <TextField label="API token" type="password" value={token} onInput={setToken} autofocus mono autocomplete="current-password" hint="It stays in this tab, and goes when the tab is closed." />
      <button type="submit" class="button primary wide" disabled={enter.busy || !token.trim()}>
        {enter.busy ? "Signing in…" : "Sign in"}
      </button>
    </form>
  );
}

/** The house names the provider's address; the browser comes back to where it is now. */
function ProviderButton({ provider, tenant }: { provider: Methods["providers"][number]; tenant: string }) {
  const leave = useAction(async () => {
    const back = location.hash.startsWith("#/signin") ? "/" : `/${location.hash}`;
    const { url } = await asNobody<{ url: string }>("/session/oidc", { method: "POST", json: { provider: provider.name, return_to: back } }, tenant);
    location.assign(url);
  });
  return (
    <>
      {leave.problem && <ProblemBox problem={leave.problem} />}
      <button type="button" class="button wide" disabled={leave.busy} onClick={() => void leave.run()}>
        {`Sign in with ${provider.title || provider.name}`}
      </button>
    </>
  );
}

const HELP: Record<Way, string> = {
  passkey: "Somebody who administers the house invites you: touchmark user invite NAME prints a link with which you set up a passkey.",
  password: "The link of an invitation (touchmark user invite NAME) sets up a password, too, with an app that shows codes.",
  token: "The first administrator's lies in the house: admin/token below the home that touchmark init made. Others are made by an administrator: touchmark token create --principal NAME, or here under Tokens.",
};

export function SignIn({ why, problem, onDone }: { why: string; problem: string; onDone: () => void }) {
  useTitle("Sign in");
  const [chosen, setChosen] = useState<Way>();
  const [tenant, setTenant] = useState("");
  const [elsewhere, setElsewhere] = useState(false);
  const home = tenant.trim() || "default";
  const methods = useLoad((signal) => asNobody<Methods>("/session/methods", { signal }, home), [home]);
  const has = (way: Way) => methods.data?.methods.includes(way) ?? false;
  const ways = ([["passkey", "Passkey"], ["password", "Password"], ["token", "API token"]] as [Way, string][]).filter(([w]) => w === "token" || has(w));
  const way = chosen ?? (has("passkey") && passkeysHere() && !methods.data?.no_passkeys ? "passkey" : "token");
  return (
    <main class="signin">
      <div class="signin-card">
        <div class="signin-brand">
          <Mark size={52} />
          <h1>Touchmark</h1>
          <p>Strikes an identity, records it, watches over it, and takes it back.</p>
        </div>
        <div class="signin-box">
          {why && <Notice tone="warn">{`You were signed out: ${why}`}</Notice>}
          {problem && <Notice tone="bad">{problem}</Notice>}
          {ways.length > 1 && <Chips label="How" value={way} options={ways} onChange={(w) => setChosen(w as Way)} />}
          {elsewhere && <TextField label="Tenant" value={tenant} onInput={setTenant} optional hint="Where you are known; empty: the default tenant, and the house." />}
          {way === "passkey" && <PasskeyForm tenant={home} why={methods.data?.no_passkeys} onDone={onDone} />}
          {way === "password" && <PasswordForm tenant={home} onDone={onDone} />}
          {way === "token" && <TokenForm tenant={tenant.trim()} onDone={onDone} />}
          {methods.data?.providers.map((p) => <ProviderButton key={p.name} provider={p} tenant={home} />)}
          {!elsewhere && (
            <button type="button" class="button plain" onClick={() => setElsewhere(true)}>
              I belong to another tenant
            </button>
          )}
        </div>
        <details class="signin-help">
          <summary>{way === "token" ? "Where do I get a token?" : "How do I get in?"}</summary>
          <p>{HELP[way]}</p>
        </details>
      </div>
    </main>
  );
}
