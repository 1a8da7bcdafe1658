/* A decision of policy: the verdict, what would be made, and every rule with what it found. */
import { href } from "../lib/router";
import type { Decision } from "../lib/types";
import { Badge, Facts, Name, Notice, Until } from "./parts";

const VERDICTS: Record<Decision["verdict"], string> = { issue: "A certificate would be issued", pend: "It would wait for approval", deny: "It would be refused" };

export function Trace({ decision }: { decision: Decision }) {
  const plan = decision.plan;
  const text = (key: string) => (typeof plan?.[key] === "string" ? (plan[key] as string) : "");
  return (
    <>
      <Notice tone={decision.verdict === "issue" ? "good" : decision.verdict === "pend" ? "warn" : "bad"}>
        <p>
          <strong>{VERDICTS[decision.verdict]}.</strong> <Name text={decision.reason} empty="" />
        </p>
        {decision.rule && (
          <p class="small">
            Rule <code>{decision.rule}</code>
          </p>
        )}
      </Notice>
      {plan && (
        <Facts
          of={[
            ["Subject", <Name text={text("subject")} empty="empty" />],
            plan.names && plan.names.length > 0 && ["Names", plan.names.map((n) => <div key={n}><Name text={n} /></div>)],
            ["Authority", <a href={href(["authorities", text("authority")])}>{text("authority")}</a>],
            ["Signature", text("signature")],
            ["Valid from", <Until at={text("not-before")} />],
            ["Valid until", <Until at={text("not-after")} />],
            plan.extensions && ["Extensions", plan.extensions.map((x) => `${x.oid}${x.critical ? " (critical)" : ""}`).join(", ")],
          ]}
        />
      )}
      <h3>Rule by rule</h3>
      <ol class="trace">
        {decision.trace.map((t, i) => (
          <li key={i}>
            <Badge>{t.result}</Badge>
            <code>{t.rule}</code>
            <span>
              <Name text={t.detail} empty="" />
            </span>
          </li>
        ))}
      </ol>
    </>
  );
}
