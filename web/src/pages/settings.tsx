/* The person's own: how the console looks, who they are here, whether events come in, which keys do what. */
import { useState } from "preact/hooks";
import { hasSession } from "../lib/api";
import { setTheme, theme, type Theme } from "../lib/appearance";
import { Sessions, Ways } from "../ui/account";
import { useLiveState, useTitle } from "../ui/hooks";
import { LiveBadge } from "../ui/live";
import { Chips, Facts, Head, Name, Panel } from "../ui/parts";
import type { PageProps } from ".";

const THEMES: [Theme, string][] = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

const KEYS: [string, string][] = [
  ["/", "to the search box"],
  ["Tab", "to the next thing that can be used; the first is a link past the menu"],
  ["Esc", "closes a dialog, and the menu on a phone"],
];

export function SettingsPage({ me }: PageProps) {
  useTitle("Settings");
  const [chosen, setChosen] = useState<Theme>(theme());
  const live = useLiveState();
  return (
    <>
      <Head title="Settings" lead="Yours alone; kept in this browser." />
      <div class="columns">
        <Panel title="Appearance">
          <Chips
            label="Colours"
            value={chosen}
            options={THEMES}
            onChange={(t) => {
              setTheme(t as Theme);
              setChosen(t as Theme);
            }}
          />
          <p class="hint">Times are in UTC, as certificates have them; how far they are from now stands beside them.</p>
        </Panel>
        <Panel title="Events">
          <p>
            <LiveBadge />
          </p>
          <p class="hint">
            {live === "live"
              ? "Pages follow what happens. All tabs of yours share one stream."
              : "Pages ask again from time to time. When the stream can be had, they follow what happens at once."}
          </p>
        </Panel>
        <Panel title="You">
          <Facts
            of={[
              ["Principal", <Name text={me.principal} />],
              ["Roles here", me.roles.join(", ") || "none"],
              me.owner_of && ["Owner of", <Name text={me.owner_of} />],
              ["Tenant", me.tenant],
              ["Server", `version ${me.version}`],
            ]}
          />
        </Panel>
        {hasSession() && <Ways />}
        <Sessions />
        <Panel title="Keys">
          <dl class="facts keys">
            {KEYS.map(([key, what]) => (
              <div key={key}>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Panel>
      </div>
    </>
  );
}
