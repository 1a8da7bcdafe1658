/* A program without a browser wants to act as the person who is signed in here (RFC 8628): its code, what it wants, yes or no. */
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { replaceQuery } from "../lib/router";
import { useAction, useLoad, useTitle } from "../ui/hooks";
import { Facts, Head, Loading, Name, Notice, Panel, ProblemBox, TextField, Time } from "../ui/parts";
import type { PageProps } from ".";

interface Login {
  user_code: string;
  status: "pending" | "approved" | "denied" | "used";
  client: string;
  peer: string;
  roles: string[];
  scopes: string[];
  ttl: string;
  created_at: string | null;
  expires_at: string | null;
}

/** As it is typed, so it is shown: BCDF-GHJK. */
const tidy = (code: string): string => code.trim().toUpperCase().replace(/\s+/g, "");

function Decide({ code }: { code: string }) {
  const path = `/device-login/${encodeURIComponent(code)}`;
  const found = useLoad((signal) => api<Login>(path, { signal }), [code]);
  const [said, setSaid] = useState<Login>();
  const decide = useAction(async (what: "approve" | "deny") => setSaid(await api<Login>(`${path}/${what}`, { method: "POST" })));
  if (found.problem) return <ProblemBox problem={found.problem} />;
  if (!found.data) return <Loading rows={4} />;
  const login = said ?? found.data;
  return (
    <Panel title="What asks">
      <Facts
        of={[
          ["Code", <span class="mono">{login.user_code}</span>],
          ["Program", <Name text={login.client} empty="it does not say" />],
          ["From", <Name text={login.peer} />],
          ["May do", login.roles.length > 0 ? login.roles.join(", ") : "all that you may"],
          ["Parts of the API", login.scopes.length > 0 ? login.scopes.join(", ") : "all"],
          ["Its token lives", login.ttl],
          ["Asked", <Time at={login.created_at} />],
        ]}
      />
      {decide.problem && <ProblemBox problem={decide.problem} />}
      {login.status === "pending" ? (
        <>
          <Notice tone="warn">Confirm it only if you have begun this login yourself, just now, and the code is the one that your terminal shows.</Notice>
          <p class="actions">
            <button type="button" class="button primary" disabled={decide.busy} onClick={() => void decide.run("approve")}>
              Let it act as me
            </button>{" "}
            <button type="button" class="button" disabled={decide.busy} onClick={() => void decide.run("deny")}>
              Refuse
            </button>
          </p>
        </>
      ) : (
        <Notice tone={login.status === "denied" ? "warn" : "good"}>
          {login.status === "denied" ? "Refused: it gets no token." : "Confirmed: it goes on by itself within seconds. Its token is listed under Tokens, where it can be revoked."}
        </Notice>
      )}
    </Panel>
  );
}

export function LoginPage({ place }: PageProps) {
  useTitle("Log a program in");
  const [typed, setTyped] = useState("");
  const code = tidy(place.query.code ?? "");
  return (
    <>
      <Head title="Log a program in" lead="touchmark login prints a code; whoever is signed in here says whether that program may act for them." />
      {code ? (
        <Decide key={code} code={code} />
      ) : (
        <Panel>
          <form
            onSubmit={(e) => {
              e.preventDefault();
              replaceQuery(place, { code: tidy(typed) });
            }}
          >
            <TextField label="Code" value={typed} onInput={setTyped} mono autofocus placeholder="BCDF-GHJK" />
            <button type="submit" class="button primary" disabled={!tidy(typed)}>
              Look
            </button>
          </form>
        </Panel>
      )}
    </>
  );
}
