/* A certificate whose place another is to take: what the form takes over from it, and what becomes of it afterwards. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api, may, type Me } from "../lib/api";
import { commonName, typedName } from "../lib/format";
import { KEY_KINDS } from "../lib/pkcs10";
import { href } from "../lib/router";
import type { Brief, Certificate, Choice, Described, Page } from "../lib/types";
import { useLoad, type Loaded } from "./hooks";
import { Icon } from "./icons";
import { Badge, Facts, Name, Notice, Panel, Time, Until } from "./parts";
import { RevokeDialog } from "./revoke";

export interface Old {
  cert: Certificate;
  names: string[]; /* all of them, as they are shown */
  asked: string[]; /* those that a form can ask for */
}

/** The certificate of this serial, with all its names; null without one. */
export function useOld(serial: string | undefined): Loaded<Old | null> {
  return useLoad(
    async (signal) => {
      if (!serial) return null;
      const cert = await api<Certificate>(`/certificates/${encodeURIComponent(serial)}`, { signal });
      const said = cert.certificate ? (await api<Page<Described>>("/describe", { method: "POST", body: cert.certificate, signal })).items[0] : undefined;
      const names = said?.subjectAltName ?? cert.names ?? [];
      const asked = names.map(typedName).filter((n): n is string => n !== null);
      return { cert, names, asked: asked.length > 0 ? asked : [commonName(cert.subject)].filter((n) => /^[^\s=]+\.[^\s=]+$/.test(n)) };
    },
    [serial],
  );
}

/** May this be asked for as the old one's renewal? The house knows it, keeps it, has not taken it back, and the profile renews its kind. */
export function renewable({ cert }: Old, choice: Choice): boolean {
  const stands = cert.status === "valid" || cert.status === "expired";
  return cert.source === "issued" && cert.certificate !== undefined && stands && (choice.profile === cert.profile || choice.renews_also.includes(cert.profile));
}

/** What may be asked for in its place: its own profile first. */
export const choiceFor = ({ cert }: Old, items: Choice[]): Choice | undefined => items.find((c) => c.profile === cert.profile) ?? items.find((c) => c.renews_also.includes(cert.profile));

/** The kind of key that it has, as a browser makes it; "" where it makes none such. */
export function keyKindOf({ cert }: Old): string {
  const name = cert.key.replace(/^p(?=\d)/, "ec-p").replace(/^rsa(?=\d)/, "rsa-");
  return KEY_KINDS.some((k) => k.name === name) ? name : "";
}

export function OldPanel({ old, children }: { old: Old; children?: ComponentChildren }) {
  const { cert, names } = old;
  return (
    <Panel title="Takes the place of">
      <Facts
        of={[
          ["Certificate", <><a href={href(["certificates", cert.serial])}><Name text={commonName(cert.subject)} empty="no name" /></a> <Badge>{cert.status}</Badge></>],
          names.length > 0 && ["Names", names.map((n) => <div key={n}><Name text={n} /></div>)],
          ["Valid until", <Until at={cert.not_after} />],
          ["From", <><Name text={cert.authority} />{cert.profile && <span class="faint"> by profile {cert.profile}</span>}</>],
        ]}
      />
      {children}
    </Panel>
  );
}

/** The new one is there: what to do with the old one. */
export function OldAfter({ old, me }: { old: Old; me: Me }) {
  const [dialog, setDialog] = useState(false);
  const [gone, setGone] = useState(false);
  const { cert } = old;
  const ours = cert.source === "issued" && (cert.status === "valid" || cert.status === "on-hold");
  if (gone)
    return (
      <Notice tone="good">
        <p>The old one is revoked; whoever checks will refuse it.</p>
      </Notice>
    );
  return (
    <>
      <Notice tone="info">
        <p>
          <strong>{cert.status === "valid" ? <>The old one still holds, until <Time at={cert.not_after} date />.</> : "The old one does not hold any more."}</strong>{" "}
          {ours ? "Put the new certificate where it is used, see that it works, then take the old one back." : "Put the new certificate where it is used."}
        </p>
      </Notice>
      {ours && may(me, "admin", "operator", "owner") && (
        <div class="buttons">
          <button type="button" class="button danger" onClick={() => setDialog(true)}>
            Revoke the old one…
          </button>
        </div>
      )}
      {dialog && <RevokeDialog cert={cert} onClose={() => setDialog(false)} onDone={() => (setDialog(false), setGone(true))} />}
    </>
  );
}

/** Certificates of the same holder, one a line. */
export function Briefs({ of }: { of: Brief[] }) {
  return (
    <>
      {of.map((b) => (
        <div key={b.serial}>
          <a href={href(["certificates", b.serial])}>
            <Name text={commonName(b.subject) || b.serial} />
          </a>{" "}
          <Badge>{b.status}</Badge>{" "}
          <span class="faint">
            until <Time at={b.not_after} date />
          </span>
        </div>
      ))}
    </>
  );
}

/** Says on the old one's page what took its place. */
export function ReplacedNotice({ cert }: { cert: Certificate }) {
  const next = cert.replaced_by?.[0];
  if (!next) return null;
  return (
    <Notice tone="info" icon="history">
      <p>
        <strong>
          Replaced by <a href={href(["certificates", next.serial])}>a certificate of <Time at={next.issued_at} date /></a>
        </strong>
        , valid until <Time at={next.not_after} date />. {cert.status === "valid" && cert.source === "issued" && "Once that one is in use everywhere, revoke this one as superseded."}
      </p>
    </Notice>
  );
}

export function ReplaceButton({ cert, me }: { cert: Certificate; me: Me }) {
  /* Authorities have ceremonies, and what the house made for itself, which is of no profile, it renews. */
  const houses = cert.source === "issued" && !cert.profile;
  if (cert.ca || houses || !may(me, "admin", "operator", "owner")) return null;
  const soon = cert.not_after !== null && Date.parse(cert.not_after) - Date.now() < 30 * 86_400_000;
  return (
    <a class={soon && !cert.replaced_by?.length ? "button primary" : "button"} href={href(["new-request"], { replaces: cert.serial })}>
      <Icon name="refresh" />
      Replace…
    </a>
  );
}
