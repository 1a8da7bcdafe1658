/* YAML as people write resources in it: block maps and lists, flow [ ] and { }, quoted and plain scalars, | and > texts, comments. What is not
 * among these (anchors, tags, several documents, keys that are no scalars) is an error with its line, and not guessed at. */

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

export class YamlError extends Error {
  constructor(
    message: string,
    readonly line: number,
  ) {
    super(message);
  }
}

export interface Parsed {
  value: Value;
  /** Where each value begins: JSON pointer → line, from 1. */
  lines: Map<string, number>;
}

const DEPTH_MAX = 32;
const SIZE_MAX = 1 << 20;
const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", "0": "\0", '"': '"', "\\": "\\", "/": "/", " ": " ", b: "\b", f: "\f", e: "\x1b" };

/** The text before a comment: "#" at its beginning or behind a blank, outside of quotes. */
function bare(text: string): string {
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote) {
      if (quote === '"' && c === "\\") i++;
      else if (c === quote) quote = "";
    } else if ((c === '"' || c === "'") && (i === 0 || /[\s[{,:-]/.test(text[i - 1]!))) {
      quote = c;
    } else if (c === "#" && (i === 0 || /\s/.test(text[i - 1]!))) {
      return text.slice(0, i).trimEnd();
    }
  }
  return text.trimEnd();
}

function plain(text: string): Value {
  if (text === "" || text === "~" || text === "null") return null;
  if (text === "true" || text === "false") return text === "true";
  if (/^-?(0|[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  return /^-?\d+\.\d+$/.test(text) ? Number(text) : text;
}

/** One value in a line: quoted, flow or plain. */
class Flow {
  private at = 0;
  constructor(
    private readonly text: string,
    private readonly line: number,
    private readonly lines: Map<string, number>,
  ) {}

  whole(pointer: string): Value {
    const value = this.value(pointer, "", 0);
    this.blank();
    if (this.at < this.text.length) this.fail(`“${this.text.slice(this.at, this.at + 20)}” is too much here`);
    return value;
  }

  private fail(message: string): never {
    throw new YamlError(message, this.line);
  }

  private blank(): void {
    while (/\s/.test(this.text[this.at] ?? "")) this.at++;
  }

  private value(pointer: string, ends: string, depth: number): Value {
    if (depth > DEPTH_MAX) this.fail("nested too deep");
    this.lines.set(pointer, this.line);
    this.blank();
    const c = this.text[this.at] ?? "";
    if (c === "[") return this.list(pointer, depth);
    if (c === "{") return this.map(pointer, depth);
    if (c === '"' || c === "'") return this.quoted(c);
    if (c && "&*!%@`|>".includes(c)) this.fail(`a value can't begin with “${c}” here; put it in quotes`);
    const from = this.at;
    while (this.at < this.text.length && !ends.includes(this.text[this.at]!)) this.at++;
    const word = this.text.slice(from, this.at).trim();
    if (!ends && /:(\s|$)/.test(word)) this.fail("a value with “: ” in it needs quotes");
    return plain(word);
  }

  private quoted(quote: string): string {
    let out = "";
    for (this.at++; this.at < this.text.length; this.at++) {
      const c = this.text[this.at]!;
      if (c === quote && quote === "'" && this.text[this.at + 1] === "'") {
        out += "'";
        this.at++;
      } else if (c === quote) {
        this.at++;
        return out;
      } else if (c === "\\" && quote === '"') {
        out += this.escape();
      } else {
        out += c;
      }
    }
    return this.fail("a quote is not closed");
  }

  private escape(): string {
    const c = this.text[++this.at] ?? "";
    const digits = { x: 2, u: 4, U: 8 }[c];
    if (digits === undefined) return ESCAPES[c] ?? this.fail(`“\\${c}” is no escape`);
    const hex = this.text.slice(this.at + 1, this.at + 1 + digits);
    const code = parseInt(hex, 16);
    if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length !== digits || code > 0x10ffff) this.fail("this escape is not whole");
    this.at += digits;
    return String.fromCodePoint(code);
  }

  private list(pointer: string, depth: number): Value[] {
    const out: Value[] = [];
    this.at++;
    for (;;) {
      this.blank();
      if (this.text[this.at] === "]") {
        this.at++;
        return out;
      }
      out.push(this.value(`${pointer}/${out.length}`, ",]}", depth + 1));
      this.next("]");
    }
  }

  private map(pointer: string, depth: number): Value {
    const out: { [key: string]: Value } = {};
    this.at++;
    for (;;) {
      this.blank();
      if (this.text[this.at] === "}") {
        this.at++;
        return out;
      }
      const c = this.text[this.at] ?? "";
      let key: string;
      if (c === '"' || c === "'") {
        key = this.quoted(c);
      } else {
        const from = this.at;
        while (this.at < this.text.length && !",:{}[]".includes(this.text[this.at]!)) this.at++;
        key = this.text.slice(from, this.at).trim();
      }
      this.blank();
      if (this.text[this.at] !== ":") this.fail("a map in { } has the form key: value");
      this.at++;
      if (Object.hasOwn(out, key)) this.fail(`“${key}” is there twice`);
      Object.defineProperty(out, key, { value: this.value(`${pointer}/${key}`, ",]}", depth + 1), enumerable: true, writable: true, configurable: true });
      this.next("}");
    }
  }

  private next(end: string): void {
    this.blank();
    if (this.text[this.at] === ",") this.at++;
    else if (this.text[this.at] !== end) this.fail(`a “,” or “${end}” is missing`);
  }
}

interface Line {
  indent: number;
  text: string;
  n: number;
}

/** "key: rest" at the head of a line; null where it is no such. */
function splitKey(text: string): [key: string, rest: string] | null {
  const quoted = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*:(?:\s+(.*))?$/.exec(text);
  if (quoted) return [String(new Flow(quoted[1]!, 0, new Map()).whole("")), quoted[2] ?? ""];
  const bareKey = /^([^\s"'#&*!|>%@`[\]{},-][^#[\]{},]*?|-[^\s#[\]{},:]+)\s*:(?:\s+(.*))?$/.exec(text);
  return bareKey && !/:\s/.test(bareKey[1]!) ? [bareKey[1]!, bareKey[2] ?? ""] : null;
}

const open = (text: string): number => {
  const naked = text.replace(/"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'/g, "");
  return (naked.match(/[[{]/g)?.length ?? 0) - (naked.match(/[\]}]/g)?.length ?? 0);
};

class Reader {
  readonly lines = new Map<string, number>();
  private at = 0;
  /** What a list's item leaves of its line: as if it stood on one of its own. */
  private rest: Line | null = null;
  private readonly raw: string[];

  constructor(text: string) {
    this.raw = text.split(/\r\n|\n|\r/);
  }

  document(): Value {
    const first = this.peek();
    if (!first) return null;
    const value = this.block(first.indent, "", 0);
    const more = this.peek();
    if (more) throw new YamlError("this does not belong to what stands above; is its indentation right?", more.n);
    return value;
  }

  private peek(): Line | null {
    if (this.rest) return this.rest;
    for (; this.at < this.raw.length; this.at++) {
      const raw = this.raw[this.at]!;
      const n = this.at + 1;
      const text = bare(raw);
      if (text.trim() === "" || (n === 1 && text === "---")) continue;
      if (/^(---|\.\.\.)(\s|$)/.test(text)) throw new YamlError("one document at a time", n);
      const indent = text.length - text.trimStart().length;
      if (text.slice(0, indent).includes("\t")) throw new YamlError("indent with blanks, not with tabs", n);
      return { indent, text: text.slice(indent), n };
    }
    return null;
  }

  private take(): void {
    if (this.rest) this.rest = null;
    this.at++;
  }

  private block(indent: number, pointer: string, depth: number): Value {
    const line = this.peek()!;
    if (depth > DEPTH_MAX) throw new YamlError("nested too deep", line.n);
    this.lines.set(pointer, line.n);
    if (line.text === "-" || line.text.startsWith("- ")) return this.list(indent, pointer, depth);
    if (splitKey(line.text)) return this.map(indent, pointer, depth);
    this.take();
    return this.inline(line.text, line, pointer);
  }

  private map(indent: number, pointer: string, depth: number): Value {
    const out: { [key: string]: Value } = {};
    for (let line = this.peek(); line && line.indent === indent; line = this.peek()) {
      const pair = splitKey(line.text);
      if (!pair) throw new YamlError("this is no “key: value”", line.n);
      const [key, rest] = pair;
      const own = `${pointer}/${key}`;
      if (Object.hasOwn(out, key)) throw new YamlError(`“${key}” is there twice`, line.n);
      this.take();
      const value = rest === "" ? this.below(indent, own, depth, line.n) : this.inline(rest, line, own);
      this.lines.set(own, line.n);
      Object.defineProperty(out, key, { value, enumerable: true, writable: true, configurable: true });
    }
    const next = this.peek();
    if (next && next.indent > indent) throw new YamlError("this is indented too far", next.n);
    return out;
  }

  /** What stands under "key:"; a list may begin at the key's own column. */
  private below(indent: number, pointer: string, depth: number, n: number): Value {
    const next = this.peek();
    this.lines.set(pointer, n);
    if (next && next.indent > indent) return this.block(next.indent, pointer, depth + 1);
    if (next && next.indent === indent && (next.text === "-" || next.text.startsWith("- "))) return this.list(indent, pointer, depth + 1);
    return null;
  }

  private list(indent: number, pointer: string, depth: number): Value {
    const out: Value[] = [];
    for (let line = this.peek(); line && line.indent === indent && (line.text === "-" || line.text.startsWith("- ")); line = this.peek()) {
      const own = `${pointer}/${out.length}`;
      const content = line.text.slice(1).trimStart();
      this.lines.set(own, line.n);
      if (content === "") {
        this.take();
        const next = this.peek();
        out.push(next && next.indent > indent ? this.block(next.indent, own, depth + 1) : null);
      } else if (content.startsWith("- ") || content === "-" || splitKey(content)) {
        this.rest = { indent: indent + line.text.length - content.length, text: content, n: line.n };
        out.push(this.block(this.rest.indent, own, depth + 1));
      } else {
        this.take();
        out.push(this.inline(content, line, own));
      }
    }
    return out;
  }

  private inline(text: string, line: Line, pointer: string): Value {
    const folded = /^([|>])([+-]?)$/.exec(text);
    if (folded) return this.text(folded[1]!, folded[2]!, line.indent);
    /* A flow that goes on over lines. */
    while (open(text) > 0 && this.at < this.raw.length) text += " " + bare(this.raw[this.at++]!).trim();
    return new Flow(text, line.n, this.lines).whole(pointer);
  }

  private text(kind: string, chomp: string, above: number): string {
    const taken: string[] = [];
    let indent = -1;
    for (; this.at < this.raw.length; this.at++) {
      const raw = this.raw[this.at]!;
      const own = raw.length - raw.trimStart().length;
      if (raw.trim() === "") {
        taken.push("");
        continue;
      }
      if (own <= above && indent < 0) break;
      if (indent < 0) indent = own;
      if (own < indent) break;
      taken.push(raw.slice(indent));
    }
    while (taken.at(-1) === "") taken.pop();
    const body = kind === "|" ? taken.join("\n") : taken.join(" ").replace(/ {2,}(?=\S)/g, "\n");
    return body + (chomp === "-" || taken.length === 0 ? "" : "\n");
  }
}

export function fromYaml(text: string): Parsed {
  if (text.length > SIZE_MAX) throw new YamlError("at most a megabyte", 1);
  const reader = new Reader(text);
  const value = reader.document();
  return { value, lines: reader.lines };
}

/** The line of a JSON pointer, or of the nearest value that holds it. */
export function lineOf(lines: Map<string, number>, pointer: string): number | undefined {
  for (let p = pointer; ; p = p.slice(0, p.lastIndexOf("/"))) {
    const found = lines.get(p);
    if (found !== undefined || p === "") return found;
  }
}
