/* Where the console is: "#/certificates/0a1b?tab=chain". What stands behind the # never reaches the server or its logs. */

export interface Place {
  path: string[];
  query: Record<string, string>;
}

export function parsePlace(hash: string): Place {
  const [path = "", search = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const query: Record<string, string> = {};
  for (const [key, value] of new URLSearchParams(search)) query[key] = value;
  return { path: path.split("/").filter(Boolean).map(decode), query };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** href(["devices", "a/b"], {tab: "x"}) → "#/devices/a%2Fb?tab=x"; empty values are left out. */
export function href(path: string[], query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString();
  return "#/" + path.map(encodeURIComponent).join("/") + (text ? "?" + text : "");
}

export function go(path: string[], query?: Record<string, string | undefined>): void {
  location.hash = href(path, query);
}

/** Change the query of the place one is at, without a new entry in the history. */
export function replaceQuery(place: Place, query: Record<string, string | undefined>): void {
  const next = href(place.path, { ...place.query, ...query });
  history.replaceState(null, "", next);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
