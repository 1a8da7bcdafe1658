/* The health radar: how the house stands on five axes, what was found, and what would move each. */
import { api } from "../lib/api";
import { href } from "../lib/router";
import type { Posture, PostureAxis, PostureCheck } from "../lib/types";
import { about, useLoad, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Head, Loading, Name, Panel, ProblemBox, Time } from "../ui/parts";
import { Radar, tone } from "../ui/radar";
import type { PageProps } from ".";

/** Where one can do something about it. */
const PLACES: Record<string, [path: string, query?: Record<string, string>]> = {
  "enrollment.success": ["register", { type: "enrollment.denied" }],
  "enrollment.automated": ["endpoints"],
  "enrollment.proof": ["endpoints"],
  "enrollment.waiting": ["requests"],
  "lifetime.ending": ["certificates", { q: "expires<7d" }],
  "lifetime.servers": ["profiles"],
  "lifetime.authorities": ["authorities"],
  "lifetime.keys": ["authorities"],
  "revocation.lists": ["authorities"],
  "revocation.told": ["profiles"],
  "revocation.ocsp": ["authorities"],
  "keys.roots": ["authorities"],
  "keys.origin": ["endpoints"],
  "incident.successor": ["authorities"],
  "incident.root-lists": ["authorities"],
  "incident.people": ["principals"],
  "incident.register": ["register"],
};

function Check({ check }: { check: PostureCheck }) {
  const place = PLACES[check.id];
  return (
    <li class={`check-row ${tone(check.score)}`}>
      <span class="check-score" aria-label={check.score === null ? "nothing to look at" : `${check.score} of 100`}>
        {check.score ?? "–"}
      </span>
      <div>
        <strong>{place ? <a href={href([place[0]], place[1])}>{check.title}</a> : check.title}</strong>
        <p>
          <Name text={check.fact} />
        </p>
        {check.move && (
          <p class="check-move">
            <Icon name="next" />
            <span>
              <Name text={check.move} />
              {check.gain ? <strong> +{check.gain}</strong> : null}
            </span>
          </p>
        )}
      </div>
    </li>
  );
}

function Axis({ axis }: { axis: PostureAxis }) {
  const best = [...axis.checks].filter((c) => c.gain).sort((a, b) => b.gain! - a.gain!)[0];
  return (
    <Panel title={axis.title} aside={<span class={`axis-score ${tone(axis.score)}`}>{axis.score ?? "–"}</span>} class="axis">
      <div class="meter" role="presentation">
        <div class={`meter-fill ${tone(axis.score)}`} style={{ width: `${axis.score ?? 0}%` }} />
      </div>
      {best && (
        <p class="faint small">
          What moves it most: {best.title.toLowerCase()}, +{best.gain}
        </p>
      )}
      <ul class="checks">
        {axis.checks.map((c) => (
          <Check key={c.id} check={c} />
        ))}
      </ul>
    </Panel>
  );
}

export function HealthPage(_: PageProps) {
  useTitle("Health");
  const posture = useLoad((signal) => api<Posture>("/posture", { signal }), [], 120, about("crl.", "resource.", "authority.", "ceremony.", "enrollment.denied", "certificate.revoked"));
  const data = posture.data;
  const known = data?.axes.filter((a) => a.score !== null) ?? [];
  const moves = known.flatMap((a) => a.checks.filter((c) => c.gain).map((c) => ({ axis: a, check: c }))).sort((a, b) => b.check.gain! - a.check.gain!);
  return (
    <>
      <Head title="Health" lead={data ? <>Computed from what the house knows, <Time at={data.at} />. Nothing is estimated: each figure says what it was made of.</> : undefined} />
      {posture.problem && <ProblemBox problem={posture.problem} onRetry={posture.reload} />}
      {!data && !posture.problem && <Loading rows={8} />}
      {data && (
        <>
          <div class="health-top">
            <Panel class="radar-panel">
              <Radar axes={data.axes} />
            </Panel>
            <Panel title="What would move it most">
              {moves.length === 0 ? (
                <p class="faint">Nothing: every check finds all that it wants.</p>
              ) : (
                <ol class="moves">
                  {moves.slice(0, 6).map(({ axis, check }) => (
                    <li key={check.id}>
                      <span class="move-gain">+{check.gain}</span>
                      <div>
                        <Name text={check.move} />
                        <span class="faint small">{axis.title}</span>
                      </div>
                    </li>
                  ))}
                </ol>
              )}
            </Panel>
          </div>
          <div class="columns">
            {data.axes.map((a) => (
              <Axis key={a.axis} axis={a} />
            ))}
          </div>
          <p class="faint small">
            The same on the command line: <code>touchmark status --posture</code>
          </p>
        </>
      )}
    </>
  );
}
