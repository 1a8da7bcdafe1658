/* A resource as YAML, written here: checked by the house while it is typed, saved as a new version. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../lib/api";
import { fromYaml, lineOf, YamlError, type Parsed } from "../lib/from-yaml";
import { toYaml } from "../lib/yaml";
import type { Resource } from "../lib/types";
import { asProblem, useAction } from "./hooks";
import { Icon } from "./icons";
import { Notice, Panel, ProblemBox } from "./parts";
import { TryProposal } from "./proposal";

interface Answer {
  version: number;
  unchanged?: boolean;
}
type Check = { kind: "none" } | { kind: "busy" } | { kind: "good"; answer: Answer } | { kind: "bad"; message: string; line: number | undefined; where: string };

const PAUSE_MS = 500;
const FIRST = ["kind", "name", "title", "description"];

interface Subject {
  kind: string; /* as in addresses */
  one: string; /* as in documents */
  name: string; /* "" a new one */
  version: number; /* 0: must not exist */
}

function read(text: string): { parsed: Parsed; document: Record<string, unknown> } {
  const parsed = fromYaml(text);
  if (typeof parsed.value !== "object" || parsed.value === null || Array.isArray(parsed.value)) throw new YamlError("a document has the form key: value", 1);
  return { parsed, document: parsed.value };
}

async function put(s: Subject, document: Record<string, unknown>, dry: boolean, signal?: AbortSignal): Promise<Answer> {
  const name = s.name || String(document.name ?? "");
  if (!name) throw new YamlError("“name” is missing", 1);
  return api<Answer>(`/resources/${s.kind}/${encodeURIComponent(name)}`, {
    method: "PUT",
    json: document,
    query: dry ? { dry_run: "1" } : {},
    headers: { "If-Match": `"${s.version}"` },
    ...(signal ? { signal } : {}),
  });
}

/** Ask the house about every pause in the typing. */
function useCheck(s: Subject, text: string, before: string): Check {
  const [check, setCheck] = useState<Check>({ kind: "none" });
  useEffect(() => {
    if (text === before) return setCheck({ kind: "none" });
    const abort = new AbortController();
    setCheck({ kind: "busy" });
    const timer = setTimeout(async () => {
      let lines: Map<string, number> | undefined;
      try {
        const { parsed, document } = read(text);
        lines = parsed.lines;
        setCheck({ kind: "good", answer: await put(s, document, true, abort.signal) });
      } catch (e) {
        if (abort.signal.aborted) return;
        const problem = asProblem(e);
        const line = e instanceof YamlError ? e.line : problem.field && lines ? lineOf(lines, problem.field) : undefined;
        setCheck({ kind: "bad", message: e instanceof YamlError ? e.message : (problem.detail ?? problem.title), line, where: e instanceof YamlError ? "" : (problem.field ?? "") });
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return check;
}

function Verdict({ check, onLine }: { check: Check; onLine: (line: number) => void }) {
  if (check.kind === "none") return <p class="faint">Nothing has been changed. What is typed is checked by the house at every pause; nothing is saved before you say so.</p>;
  if (check.kind === "busy") return <p class="faint">Checking…</p>;
  if (check.kind === "good")
    return (
      <Notice tone="good">
        <p>
          <strong>{check.answer.unchanged ? "It says the same as what stands there." : "The house would take it."}</strong>
        </p>
      </Notice>
    );
  const { line } = check;
  return (
    <Notice tone="bad">
      <p>{check.message}</p>
      <p class="small">
        {check.where && <code>{check.where}</code>}{" "}
        {line !== undefined && (
          <button type="button" class="button small" onClick={() => onLine(line)}>
            To line {line}
          </button>
        )}
      </p>
    </Notice>
  );
}

export function Editor({ subject, start, onSaved }: { subject: Subject; start: string; onSaved: (name: string) => void }) {
  const [text, setText] = useState(start);
  const box = useRef<HTMLTextAreaElement>(null);
  const check = useCheck(subject, text, subject.name ? start : "");
  const save = useAction(async () => {
    const { document } = read(text);
    await put(subject, document, false);
    onSaved(subject.name || String(document.name));
  });
  const toLine = (n: number) => {
    const at = box.current;
    if (!at) return;
    const before = text.split("\n").slice(0, n - 1);
    const from = before.reduce((sum, l) => sum + l.length + 1, 0);
    at.focus();
    at.setSelectionRange(from, from + (text.split("\n")[n - 1]?.length ?? 0));
    at.scrollTop = Math.max(0, (n - 4) * 20);
  };
  const keys = (e: KeyboardEvent) => {
    const at = box.current!;
    if (e.key !== "Enter" || e.ctrlKey || e.metaKey || e.altKey || e.shiftKey || at.selectionStart !== at.selectionEnd) return;
    /* A new line begins where the one before did. */
    const line = at.value.slice(at.value.lastIndexOf("\n", at.selectionStart - 1) + 1, at.selectionStart);
    const indent = /^\s*(?:- )?/.exec(line)![0].replace("-", " ");
    if (!indent) return;
    e.preventDefault();
    at.setRangeText(`\n${indent}`, at.selectionStart, at.selectionEnd, "end");
    setText(at.value);
  };
  return (
    <>
      <div class="editor">
        <textarea ref={box} class="mono" aria-label={`${subject.one} as YAML`} value={text} rows={Math.min(34, Math.max(16, start.split("\n").length + 2))} spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} onKeyDown={keys} />
        <Panel title="What the house says" class="editor-side">
          {save.problem && <ProblemBox problem={save.problem} />}
          <div aria-live="polite">
            <Verdict check={check} onLine={toLine} />
          </div>
          <div class="buttons">
            <button type="button" class="button primary" disabled={save.busy || check.kind !== "good" || check.answer.unchanged === true} onClick={() => save.run()}>
              <Icon name="check" />
              {save.busy ? "Saving…" : subject.name ? `Save as version ${subject.version + 1}` : "Create"}
            </button>
            {subject.name && text !== start && (
              <button type="button" class="button" onClick={() => setText(start)}>
                Undo all
              </button>
            )}
          </div>
          <p class="hint">Every version stays; the register records who made it.</p>
        </Panel>
      </div>
      {subject.kind === "profiles" && <TryProposal text={text} read={() => read(text).document} />}
    </>
  );
}

export function documentText(resource: Resource): string {
  const { metadata: _, ...document } = resource;
  return toYaml(document, FIRST);
}
