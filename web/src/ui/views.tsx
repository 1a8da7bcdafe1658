/* Searches that somebody gave a name, for all of the tenant: they stand above the list; what is asked now can join them. */
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { slug } from "../lib/format";
import { href } from "../lib/router";
import type { Page } from "../lib/types";
import { useAction, useLoad } from "./hooks";
import { Icon } from "./icons";
import { Dialog, Name, ProblemBox, TextField } from "./parts";

interface View {
  name: string;
  title: string;
  query: string;
  sort: string;
  owner: string;
}

const path = (name: string): string => `/inventory/views/${encodeURIComponent(name)}`;

function SaveDialog({ query, sort, onClose, onDone }: { query: string; sort: string; onClose: () => void; onDone: () => void }) {
  const [title, setTitle] = useState("");
  const name = slug(title);
  const save = useAction(async () => {
    await api(path(name), { method: "PUT", json: { query, sort, title: title.trim() }, headers: { "If-Match": '"0"' } });
    onDone();
  });
  return (
    <Dialog title="Save the search as a view" onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void save.run();
        }}
      >
        {save.problem && (save.problem.status === 409 ? <ProblemBox problem={{ ...save.problem, title: "There is a view of this name", detail: `“${name}” is taken: choose another title, or forget that view first.` }} /> : <ProblemBox problem={save.problem} />)}
        <p>
          <code>{query}</code>
        </p>
        <TextField label="Title" value={title} onInput={setTitle} autofocus placeholder="What ends soon" hint={name ? `Everybody in the tenant sees it; on the command line it is touchmark view show ${name}` : "Everybody in the tenant sees it."} />
        <footer>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={save.busy || !name}>
            Save
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function ForgetDialog({ view, onClose, onDone }: { view: View; onClose: () => void; onDone: () => void }) {
  const forget = useAction(async () => {
    await api(path(view.name), { method: "DELETE" });
    onDone();
  });
  return (
    <Dialog title="Forget the view" onClose={onClose}>
      {forget.problem && <ProblemBox problem={forget.problem} />}
      <p>
        <strong>
          <Name text={view.title || view.name} />
        </strong>{" "}
        disappears for everybody in the tenant. No certificate is touched.
      </p>
      <footer>
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="button danger" disabled={forget.busy} onClick={() => forget.run()}>
          Forget it
        </button>
      </footer>
    </Dialog>
  );
}

/** `query` and `sort` are what is asked now; "" nothing. */
export function Views({ query, sort }: { query: string; sort: string }) {
  const views = useLoad((signal) => api<Page<View>>("/inventory/views", { signal }), []);
  const [dialog, setDialog] = useState<"save" | "forget">();
  const items = views.data?.items ?? [];
  const here = items.find((v) => v.query === query && v.sort === sort);
  const done = () => {
    setDialog(undefined);
    views.reload();
  };
  if (items.length === 0 && !query) return null;
  return (
    <div class="views">
      {items.length > 0 && <span class="faint small">Views</span>}
      {items.map((v) => (
        <a key={v.name} class="button small" href={href(["certificates"], { q: v.query, sort: v.sort, status: "all" })} title={v.query} aria-current={v === here ? "page" : undefined}>
          <Name text={v.title || v.name} />
        </a>
      ))}
      {here ? (
        <button type="button" class="button small plain" onClick={() => setDialog("forget")}>
          Forget this view…
        </button>
      ) : (
        query && (
          <button type="button" class="button small plain" onClick={() => setDialog("save")}>
            <Icon name="issue" />
            Save as a view…
          </button>
        )
      )}
      {dialog === "save" && <SaveDialog query={query} sort={sort} onClose={() => setDialog(undefined)} onDone={done} />}
      {dialog === "forget" && here && <ForgetDialog view={here} onClose={() => setDialog(undefined)} onDone={done} />}
    </div>
  );
}
