/* What to type where a certificate is wanted, for an endpoint: filled with the names by which this house is reached. */
import { useState } from "preact/hooks";
import { api, type Me } from "../lib/api";
import { addressOf, recipes, rootRecipe, type EndpointFacts, type House } from "../lib/clients";
import { href } from "../lib/router";
import type { Resource, Status } from "../lib/types";
import { useLoad } from "./hooks";
import { Icon } from "./icons";
import { Copy, Loading, Panel, ProblemBox, TextField } from "./parts";

interface Authentication {
  certificate?: boolean;
  token?: boolean;
  "trust-sets"?: string[];
}

function factsOf(r: Resource): EndpointFacts {
  const ways = (r.authentication ?? {}) as Authentication;
  const profiles = Array.isArray(r.profiles) ? (r.profiles as string[]) : [];
  return {
    name: r.name,
    protocol: String(r.protocol ?? ""),
    profile: profiles[0] ?? "PROFILE",
    token: ways.token === true,
    certificate: ways.certificate === true,
    birth: (ways["trust-sets"] ?? []).length > 0,
  };
}

function Code({ text }: { text: string }) {
  return (
    <div class="code-box">
      <Copy text={text + "\n"} label="Copy the commands" />
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}

export function Recipes({ resource, me }: { resource: Resource; me: Me }) {
  const status = useLoad((signal) => api<Status>("/status", { signal }), []);
  const [host, setHost] = useState(location.hostname);
  const facts = factsOf(resource);
  if (status.problem) return <ProblemBox problem={status.problem} onRetry={status.reload} />;
  if (!status.data) return <Loading />;
  const house: House = { host: host.trim() || location.hostname, enrollment: status.data.ports.enrollment, plain: status.data.ports.plain, tenant: me.tenant };
  const ways = recipes(house, facts);
  const address = addressOf(house, facts);
  return (
    <>
      <Panel title="Where it is">
        <div class="recipe-where">
          <TextField label="Reached as" value={host} onInput={setHost} hint="The name or address by which clients reach the house." />
          <div class="field">
            <span class="label">Address</span>
            <p class="hex recipe-address">
              <code>{address}</code>
              <Copy text={address} label="Copy the address" />
            </p>
          </div>
        </div>
      </Panel>
      {facts.protocol !== "rest" && facts.protocol !== "scep" && facts.protocol !== "cmp" && (
        <Panel title="First, everywhere: trust the house">
          <Code text={rootRecipe(house)} />
        </Panel>
      )}
      {ways.map((w) =>
        w.client === "this console" ? (
          <Panel title={w.client} key={w.what}>
            <p>
              <a class="button" href={href(["new-request"])}>
                <Icon name="issue" />
                {w.text}
              </a>{" "}
              <span class="faint">{w.what}</span>
            </p>
          </Panel>
        ) : (
          <Panel title={w.client} aside={<span class="faint small">{w.what}</span>} key={w.client + w.what}>
            <Code text={w.text} />
          </Panel>
        ),
      )}
    </>
  );
}
