/* The frame: who is here, where one can go, and the page that is shown. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, currentSession, enterTenant, findSession, may, setSession, signOut, whenSignedOut, type Me } from "./lib/api";
import { goLive } from "./lib/live";
import { go, href, parsePlace, replaceQuery, type Place } from "./lib/router";
import { Icon, Mark } from "./ui/icons";
import { LiveBadge } from "./ui/live";
import { Loading, ProblemBox } from "./ui/parts";
import { useLoad } from "./ui/hooks";
import { SignIn } from "./pages/signin";
import { WelcomePage } from "./pages/welcome";
import { NotFound, SECTIONS, pageFor, visibleSections } from "./pages";

function usePlace(): Place {
  const [place, setPlace] = useState(() => parsePlace(location.hash));
  useEffect(() => {
    const follow = () => setPlace(parsePlace(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return place;
}

function SearchBox() {
  const [text, setText] = useState("");
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const typing = (e.target as HTMLElement).closest("input, textarea, select, dialog");
      if (e.key !== "/" || typing || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      box.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <form
      class="search"
      role="search"
      onSubmit={(e) => {
        e.preventDefault();
        if (text.trim()) go(["certificates"], { q: text.trim() });
        setText("");
        box.current?.blur();
      }}
    >
      <Icon name="search" />
      <input ref={box} type="search" value={text} aria-label="Find a certificate" placeholder="Find a certificate: name, serial, device…" onInput={(e) => setText(e.currentTarget.value)} />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

function TenantChoice({ me, onChange }: { me: Me; onChange: () => void }) {
  if (me.tenants.length < 2) return null;
  return (
    <label class="tenant">
      <span class="unseen">Tenant</span>
      <Icon name="tenant" />
      <select
        value={me.tenant}
        onChange={(e) => {
          enterTenant(e.currentTarget.value);
          onChange();
        }}
      >
        {me.tenants.map((t) => (
          <option key={t.name} value={t.name}>
            {t.title && t.title !== t.name ? `${t.name} · ${t.title}` : t.name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Side({ me, place, open, onClose, onSignOut }: { me: Me; place: Place; open: boolean; onClose: () => void; onSignOut: () => void }) {
  const here = place.path[0] ?? "";
  return (
    <div class={open ? "side open" : "side"} id="side">
      <a class="brand" href="#/" onClick={onClose}>
        <Mark />
        <span>Touchmark</span>
      </a>
      <nav aria-label="Main">
        {SECTIONS.map((section) => {
          const pages = visibleSections(section.pages, me);
          if (pages.length === 0) return null;
          return (
            <div class="nav-group" key={section.title}>
              <h2>{section.title}</h2>
              {pages.map((p) => (
                <a key={p.key} href={href(p.key ? [p.key] : [])} onClick={onClose} aria-current={here === p.key ? "page" : undefined}>
                  <Icon name={p.icon} />
                  {p.title}
                </a>
              ))}
            </div>
          );
        })}
      </nav>
      <div class="me">
        <a href={href(["settings"])} onClick={onClose} aria-current={here === "settings" ? "page" : undefined} title="Settings">
          <strong>{me.principal}</strong>
          <span class="faint">{me.roles.join(", ") || "no role here"}</span>
        </a>
        <button type="button" class="icon-button" onClick={onSignOut} aria-label="Sign out" title="Sign out">
          <Icon name="leave" />
        </button>
      </div>
    </div>
  );
}

function House({ onSignOut }: { onSignOut: () => void }) {
  const place = usePlace();
  const [menu, setMenu] = useState(false);
  const [turn, setTurn] = useState(0);
  const me = useLoad((signal) => api<Me>("/whoami", { signal }), [turn]);
  const main = useRef<HTMLElement>(null);
  const where = place.path.join("/");
  const first = useRef(true);
  useEffect(() => {
    setMenu(false);
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [where]);
  const who = me.data && me.data.roles.length > 0 ? me.data : undefined;
  useEffect(() => (who ? goLive(who.principal, who.tenant) : undefined), [who?.principal, who?.tenant]);
  useEffect(() => {
    if (!menu) return;
    const onKey = (e: KeyboardEvent) => e.key === "Escape" && setMenu(false);
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [menu]);
  if (!me.data)
    return (
      <main class="alone">
        {me.problem ? (
          <>
            <ProblemBox problem={me.problem} onRetry={me.reload} />
            <p>
              <button type="button" class="button" onClick={onSignOut}>
                Sign out
              </button>
            </p>
          </>
        ) : (
          <Loading />
        )}
      </main>
    );
  const Page = pageFor(place, me.data);
  return (
    <div class="house">
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <Side me={me.data} place={place} open={menu} onClose={() => setMenu(false)} onSignOut={onSignOut} />
      {menu && <div class="veil" onClick={() => setMenu(false)} />}
      <div class="body">
        <div class="top">
          <button type="button" class="icon-button menu" aria-label="Menu" aria-expanded={menu} aria-controls="side" onClick={() => setMenu(!menu)}>
            <Icon name="menu" />
          </button>
          {may(me.data, "admin", "operator", "auditor") ? <SearchBox /> : <span class="gap" />}
          <LiveBadge />
          <TenantChoice me={me.data} onChange={() => setTurn((t) => t + 1)} />
        </div>
        <main id="main" ref={main} tabIndex={-1} key={me.data.tenant + "/" + where}>
          {Page ? <Page place={place} me={me.data} /> : <NotFound />}
        </main>
      </div>
    </div>
  );
}

export function App() {
  const [inside, setInside] = useState<boolean | undefined>(currentSession() !== null || undefined);
  const [why, setWhy] = useState("");
  const place = usePlace();
  const invite = place.path[0] === "welcome" ? place.query.invite : undefined;
  useEffect(() => {
    whenSignedOut((reason) => {
      setWhy(reason);
      setInside(false);
    });
  }, []);
  // Not while somebody is invited in; who leaves that page is asked for then.
  useEffect(() => {
    if (inside === undefined && !invite) void findSession().then(setInside);
  }, [inside, invite]);
  const atDoor = place.path[0] === "signin";
  const enter = () => {
    setWhy("");
    setInside(true);
  };
  useEffect(() => {
    if (inside && atDoor) replaceQuery({ path: [], query: {} }, {});
  }, [inside, atDoor]);
  if (invite)
    return (
      <WelcomePage
        invite={invite}
        onDone={() => {
          history.replaceState(null, "", "#/");
          dispatchEvent(new HashChangeEvent("hashchange"));
          enter();
        }}
      />
    );
  if (inside === undefined)
    return (
      <main class="alone">
        <Loading />
      </main>
    );
  if (!inside) return <SignIn why={why} problem={atDoor ? (place.query.problem ?? "") : ""} onDone={enter} />;
  return (
    <House
      onSignOut={async () => {
        const next = await signOut();
        setSession(null);
        setWhy("");
        setInside(false);
        history.replaceState(null, "", "#/");
        if (next && /^https:/.test(next)) location.assign(next);
      }}
    />
  );
}
