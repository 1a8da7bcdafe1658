/* The small parts that every page is made of. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "../lib/api";
import { day, isNever, moment, relative, visible } from "../lib/format";
import { useNow } from "./hooks";
import { Icon, type IconName } from "./icons";

export type Tone = "good" | "warn" | "bad" | "info" | "quiet";

const TONES: Record<string, Tone> = {
  valid: "good", revoked: "bad", "on-hold": "warn", expired: "quiet",
  pending: "warn", approved: "good", done: "good", rejected: "bad",
  open: "good", used: "quiet",
  made: "info", shipped: "info", onboarded: "good", operating: "good", transferred: "warn", retired: "quiet",
  pass: "good", applied: "info", fail: "bad", issue: "good", pend: "warn", deny: "bad",
  offline: "info", disabled: "quiet", fresh: "good", stale: "bad", failing: "bad",
};

export function Badge({ children, tone }: { children: string; tone?: Tone }) {
  return <span class={`badge ${tone ?? TONES[children] ?? "quiet"}`}>{children}</span>;
}

/** A moment with its distance from now; the exact UTC time is its title. */
export function Time({ at, date = false }: { at: string | null | undefined; date?: boolean }) {
  const now = useNow();
  if (!at) return <span class="faint none">–</span>;
  if (isNever(at)) return <span title="99991231235959Z, the date that means no end">never</span>;
  return (
    <time dateTime={at} title={`${moment(at)} UTC`}>
      {date ? day(at) : relative(at, now)}
    </time>
  );
}

/** Both: "2027-11-21 · in 12 months". */
export function Until({ at }: { at: string | null | undefined }) {
  if (!at || isNever(at)) return <Time at={at} />;
  return (
    <span class="until">
      <Time at={at} date /> <span class="faint"><Time at={at} /></span>
    </span>
  );
}

/** Text from outside: characters that could disguise it are spelt out. */
export function Name({ text, empty = "–" }: { text: string | undefined; empty?: string }) {
  if (!text) return <span class={empty === "–" ? "faint none" : "faint"}>{empty}</span>;
  return <bdi>{visible(text)}</bdi>;
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch {
      setDone(false);
    }
  };
  return (
    <button type="button" class="icon-button" onClick={copy} aria-label={done ? "Copied" : label} title={done ? "Copied" : label}>
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}

/** A long value in fixed pitch, broken where it must, with a button that copies the whole. */
export function Hex({ value, shown }: { value: string; shown?: string }) {
  return (
    <span class="hex">
      <code>{shown ?? value}</code>
      <Copy text={value} />
    </span>
  );
}

export function ProblemBox({ problem, onRetry }: { problem: Problem; onRetry?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <Icon name="alert" />
      <div>
        <p>
          <strong>{problem.title}</strong>
        </p>
        {problem.detail && <p>{visible(problem.detail)}</p>}
        <p class="faint small">
          {problem.rule && <span>Rule: {problem.rule} · </span>}
          {problem.field && <span>Field: {problem.field} · </span>}
          {problem.status > 0 && <span>Status {problem.status}</span>}
          {problem.request_id && <span> · Request {problem.request_id}</span>}
        </p>
        {onRetry && (
          <button type="button" class="button small" onClick={onRetry}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

export function Notice({ tone, icon, children }: { tone: Tone; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class={`notice ${tone}`} role="status">
      <Icon name={icon ?? (tone === "good" ? "check" : tone === "info" ? "info" : "alert")} />
      <div>{children}</div>
    </div>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <p class="empty-title">{title}</p>
      {children && <div class="empty-text">{children}</div>}
    </div>
  );
}

/** Grey bars where rows will be; read aloud as one word. */
export function Loading({ rows = 5 }: { rows?: number }) {
  return (
    <div class="loading" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => (
        <div class={`bar bar-${i % 4}`} key={i} />
      ))}
    </div>
  );
}

interface FieldProps {
  label: string;
  hint?: string;
  optional?: boolean;
  children: (id: string, hintId: string | undefined) => JSX.Element;
}

export function Field({ label, hint, optional, children }: FieldProps) {
  const id = useId();
  const hintId = hint ? id + "-hint" : undefined;
  return (
    <div class="field">
      <label for={id}>
        {label}
        {optional && <span class="faint"> (optional)</span>}
      </label>
      {children(id, hintId)}
      {hint && (
        <p class="hint" id={hintId}>
          {hint}
        </p>
      )}
    </div>
  );
}

interface TextFieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string;
  optional?: boolean;
  rows?: number;
  mono?: boolean;
  type?: string;
  autofocus?: boolean;
  placeholder?: string;
  autocomplete?: string;
}

export function TextField({ label, value, onInput, hint, optional, rows, mono, type = "text", autofocus, placeholder, autocomplete = "off" }: TextFieldProps) {
  const at = useRef<HTMLInputElement & HTMLTextAreaElement>(null);
  useEffect(() => {
    if (autofocus) at.current?.focus();
  }, []);
  return (
    <Field label={label} hint={hint} optional={optional}>
      {(id, hintId) => {
        const common = {
          id, ref: at, value, placeholder, class: mono ? "mono" : "", required: !optional, "aria-describedby": hintId, spellcheck: false,
          onInput: (e: Event) => onInput((e.currentTarget as HTMLInputElement).value),
        };
        return rows ? <textarea rows={rows} {...common} /> : <input type={type} autocomplete={autocomplete as "off"} {...common} />;
      }}
    </Field>
  );
}

export function SelectField({ label, value, options, onChange, hint }: { label: string; value: string; options: (string | [string, string])[]; onChange: (value: string) => void; hint?: string }) {
  return (
    <Field label={label} hint={hint}>
      {(id, hintId) => (
        <select id={id} value={value} aria-describedby={hintId} onChange={(e) => onChange(e.currentTarget.value)}>
          {options.map((o) => {
            const [key, text] = typeof o === "string" ? [o, o] : o;
            return (
              <option key={key} value={key}>
                {text}
              </option>
            );
          })}
        </select>
      )}
    </Field>
  );
}

/** A dialog of the browser's own: focus is kept inside, Escape closes it. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const at = useRef<HTMLDialogElement>(null);
  const id = useId();
  /* Before the effects of what stands inside: a field that wants the focus takes it from the open dialog. */
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    at.current?.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog ref={at} aria-labelledby={id} onCancel={(e) => (e.preventDefault(), onClose())}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

export function Head({ title, lead, back, children }: { title: ComponentChildren; lead?: ComponentChildren; back?: { href: string; text: string }; children?: ComponentChildren }) {
  return (
    <header class="page-head">
      <div>
        {back && (
          <a class="back" href={back.href}>
            <Icon name="back" />
            {back.text}
          </a>
        )}
        <h1>{title}</h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  );
}

export function Panel({ title, aside, children, class: extra = "" }: { title?: string; aside?: ComponentChildren; children: ComponentChildren; class?: string }) {
  return (
    <section class={`panel ${extra}`}>
      {(title || aside) && (
        <header>
          {title && <h2>{title}</h2>}
          {aside && <div class="aside">{aside}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export type Fact = [label: string, value: ComponentChildren] | false | "" | undefined | null;

export function Facts({ of }: { of: Fact[] }) {
  return (
    <dl class="facts">
      {of.filter((f): f is [string, ComponentChildren] => Boolean(f)).map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Chips({ label, value, options, onChange }: { label: string; value: string; options: [string, string][]; onChange: (value: string) => void }) {
  return (
    <div class="chips" role="group" aria-label={label}>
      {options.map(([key, text]) => (
        <button type="button" key={key} aria-pressed={key === value} onClick={() => onChange(key)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** Tabs that are links: the choice is part of the address. */
export function Tabs({ value, tabs }: { value: string; tabs: [key: string, text: string, href: string][] }) {
  return (
    <nav class="tabs" aria-label="Views">
      {tabs.map(([key, text, to]) => (
        <a key={key} href={to} aria-current={key === value ? "page" : undefined}>
          {text}
        </a>
      ))}
    </nav>
  );
}
