/* Server-sent events out of a stream of text (WHATWG HTML 9.2.6), as far as they are sent here. Pure but for what it remembers. */

export interface Message {
  type: string;
  id: string;
  data: string;
}

const BUFFER_MAX = 8 << 20;

/** Feed it text as it comes; it calls back for each whole message, and for each comment with null. */
export function messages(each: (message: Message | null) => void): (text: string) => void {
  let rest = "";
  let type = "";
  let id = "";
  let data: string[] = [];
  const line = (text: string) => {
    if (text === "") {
      if (data.length > 0) each({ type: type || "message", id, data: data.join("\n") });
      type = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "") each(null);
    else if (field === "data") data.push(value);
    else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  };
  return (text) => {
    rest += text;
    if (rest.length > BUFFER_MAX) throw new Error("a message of the event stream is too long");
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    lines.forEach(line);
  };
}
