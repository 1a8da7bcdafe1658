/* Events of the register as sentences. */
import { commonName, sentence, shortHex, visible } from "../lib/format";
import { href } from "../lib/router";
import type { Event } from "../lib/types";
import { Icon, type IconName } from "./icons";
import { Time } from "./parts";

const TONES: [prefix: string, tone: string, icon: IconName][] = [
  ["certificate.issued", "good", "certificate"],
  ["certificate.imported", "info", "certificate"],
  ["certificate.revoked", "bad", "certificate"],
  ["certificate.", "info", "certificate"],
  ["enrollment.pending", "warn", "request"],
  ["enrollment.", "bad", "alert"],
  ["signature.", "bad", "alert"],
  ["device.", "info", "device"],
  ["token.", "info", "token"],
  ["crl.", "quiet", "history"],
  ["authority.", "info", "authority"],
  ["ceremony.", "info", "authority"],
  ["resource.", "quiet", "profile"],
  ["register.", "quiet", "register"],
  ["", "quiet", "info"],
];

export function look(type: string): { tone: string; icon: IconName } {
  const [, tone, icon] = TONES.find(([prefix]) => type.startsWith(prefix))!;
  return { tone, icon };
}

const text = (event: Event, key: string): string => {
  const value = event.body?.[key];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
};

/** What it was about, in a few words. */
export function about(event: Event): string {
  if (!event.body) return `${event.subject} (erased)`;
  const parts: Record<string, string[]> = {
    "certificate.issued": [commonName(text(event, "subject")), text(event, "profile"), text(event, "door") && `by ${text(event, "door")}`],
    "certificate.revoked": [shortHex(text(event, "serial")), text(event, "reason"), text(event, "comment")],
    "enrollment.denied": [commonName(text(event, "subject")) || text(event, "caller"), text(event, "reason") || text(event, "rule")],
    "enrollment.refused": [text(event, "count") && `${text(event, "count")} times`, text(event, "detail") || text(event, "rule"), text(event, "peer")],
    "enrollment.pending": [commonName(text(event, "subject")) || text(event, "caller"), text(event, "profile")],
    "crl.published": [text(event, "authority"), text(event, "entries") && `${text(event, "entries")} entries`],
    "device.changed": [event.subject.replace(/^device\//, ""), text(event, "to") && `now ${text(event, "to")}`],
  };
  const known = parts[event.type]?.filter(Boolean);
  return known && known.length > 0 ? known.join(" · ") : event.subject;
}

export function EventList({ events }: { events: Event[] }) {
  return (
    <ul class="rows events">
      {events.map((e) => {
        const { tone, icon } = look(e.type);
        return (
          <li key={e.pos}>
            <a href={href(["register", String(e.pos)])}>
              <span class={`event-icon ${tone}`}>
                <Icon name={icon} />
              </span>
              <span class="row-main">
                {sentence(e.type)}
                <span class="faint small clip">
                  <bdi>{visible(about(e))}</bdi>
                </span>
              </span>
              <Time at={e.time} />
            </a>
          </li>
        );
      })}
    </ul>
  );
}
