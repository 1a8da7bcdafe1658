/* A resource as YAML, for the eye and for `touchmark apply`. */

const PLAIN = /^[A-Za-z_./][A-Za-z0-9_./+@{}|*-]*(?: [A-Za-z0-9_./+@{}|*(),;-]+)*$/;
const DURATION = /^\d+[smhdwy]$/;
const WORDS = /^(?:true|false|null|yes|no|on|off|y|n|~|\.nan|\.inf)$/i;

function scalar(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  return (PLAIN.test(value) && !WORDS.test(value)) || DURATION.test(value) ? value : JSON.stringify(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isEmpty = (value: unknown): boolean => (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0);

function block(value: unknown, indent: string): string {
  if (typeof value === "string" && value.includes("\n")) {
    const lines = value.endsWith("\n") ? value.slice(0, -1).split("\n") : value.split("\n");
    return ` |${value.endsWith("\n") ? "" : "-"}\n` + lines.map((l) => (l ? indent + l : "") + "\n").join("");
  }
  if (isEmpty(value)) return (Array.isArray(value) ? " []" : " {}") + "\n";
  if (Array.isArray(value) || isObject(value)) return "\n" + nested(value, indent);
  return " " + scalar(value as string) + "\n";
}

function nested(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    return value
      .map((item) => {
        if ((isObject(item) || Array.isArray(item)) && !isEmpty(item)) return indent + "- " + nested(item, indent + "  ").slice(indent.length + 2);
        return indent + "-" + block(item, indent + "  ");
      })
      .join("");
  }
  return Object.entries(value as Record<string, unknown>)
    .map(([key, item]) => indent + scalar(key) + ":" + block(item, indent + "  "))
    .join("");
}

/** `first` names the keys that lead; the others keep their order. */
export function toYaml(value: unknown, first: string[] = []): string {
  if (!isObject(value) && !Array.isArray(value)) return scalar(value as string) + "\n";
  if (isEmpty(value)) return Array.isArray(value) ? "[]\n" : "{}\n";
  if (Array.isArray(value)) return nested(value, "");
  const lead = first.filter((key) => key in value).map((key) => [key, value[key]] as const);
  const rest = Object.entries(value).filter(([key]) => !first.includes(key));
  return nested(Object.fromEntries([...lead, ...rest]), "");
}
