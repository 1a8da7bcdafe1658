/* The inventory: search and page through every certificate that is known. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../lib/api";
import { commonName, shortHex } from "../lib/format";
import { listParameters, monthCursor, parseSearch } from "../lib/query";
import { href, replaceQuery } from "../lib/router";
import type { Certificate, Page } from "../lib/types";
import { about, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Empty, Head, Name, Notice, Until } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import type { PageProps } from ".";

const STATUS: [string, string][] = [
  ["valid", "Valid"],
  ["revoked", "Revoked"],
  ["expired", "Expired"],
  ["all", "All"],
];
const PAGE = 50;

export const CERTIFICATE_COLUMNS: Column<Certificate>[] = [
  {
    title: "Name",
    cell: (c) => (
      <>
        <Name text={commonName(c.subject)} empty="no name" />
        <code class="faint small">{shortHex(c.serial)}</code>
      </>
    ),
    class: "stack",
  },
  { title: "Status", cell: (c) => <Badge>{c.status}</Badge> },
  { title: "Expires", cell: (c) => <Until at={c.not_after} /> },
  { title: "Profile", cell: (c) => <Name text={c.profile || (c.source === "issued" ? "" : c.source)} />, minor: true },
  { title: "Authority", cell: (c) => <Name text={c.authority} />, minor: true, class: "short" },
  { title: "Device", cell: (c) => <Name text={c.device} />, minor: true },
];

/** One look-up a way of reading the words; what several of them find is shown once. */
async function find(search: ReturnType<typeof parseSearch>, parameters: Record<string, string>, signal: AbortSignal): Promise<Page<Certificate>> {
  const pages = await Promise.allSettled(
    search.lookups.map((l) => api<Page<Certificate>>("/certificates", { query: { ...parameters, [l.key]: l.value, limit: 1000 }, signal })),
  );
  const found = new Map<string, Certificate>();
  for (const p of pages) if (p.status === "fulfilled") for (const c of p.value.items) found.set(c.serial, c);
  const failed = pages.find((p) => p.status === "rejected");
  if (failed && pages.every((p) => p.status === "rejected")) throw failed.reason;
  return { items: [...found.values()] };
}

export function CertificatesPage({ place }: PageProps) {
  useTitle("Certificates");
  const asked = place.query.q ?? "";
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  const now = Date.now();
  const search = parseSearch(asked, now);
  const looking = search.lookups.length > 0;
  const status = search.filters.status ?? place.query.status ?? (looking ? "all" : "valid");
  const parameters = listParameters(search, status, now);
  const paged = usePages<Certificate>(
    (after, signal) => {
      if (looking) return find(search, parameters, signal);
      const start = status === "valid" ? monthCursor(Date.parse(parameters.expires_after ?? "") || now) : undefined;
      return api<Page<Certificate>>("/certificates", { query: { ...parameters, limit: PAGE, after: after ?? start }, signal });
    },
    [asked, status],
    about("certificate."),
  );
  const set = (query: Record<string, string | undefined>) => replaceQuery(place, query);
  return (
    <>
      <Head title="Certificates" lead="Everything that was issued here or brought in, in order of expiry.">
        <a class="button primary" href={href(["issue"])}>
          <Icon name="issue" />
          Issue or try
        </a>
      </Head>
      <form
        class="filter"
        role="search"
        aria-label="Certificates"
        onSubmit={(e) => {
          e.preventDefault();
          set({ q: text.trim() || undefined, status: undefined });
        }}
      >
        <div class="search wide">
          <Icon name="search" />
          <input
            type="search"
            value={text}
            aria-label="Search certificates"
            aria-describedby="search-help"
            placeholder="web.example.org, SN-4711, 014e6b…, expires<30d, profile:…"
            spellcheck={false}
            onInput={(e) => setText(e.currentTarget.value)}
          />
          <button type="submit" class="button">
            Search
          </button>
        </div>
        <Chips label="Status" value={status} options={STATUS} onChange={(s) => set({ status: s })} />
      </form>
      <details class="search-help" id="search-help">
        <summary>What can be searched for</summary>
        <dl>
          <dt>
            <code>web.example.org</code> <code>192.0.2.7</code> <code>SN-4711</code>
          </dt>
          <dd>a name or address in the certificate, its common name, or the device it belongs to</dd>
          <dt>
            <code>014e6b01…</code> <code>serial:</code> <code>fingerprint:</code> <code>spki:</code>
          </dt>
          <dd>a whole serial, or the SHA-256 of the certificate or of its key, with or without colons</dd>
          <dt>
            <code>subject:"CN=web,O=Example"</code> <code>device:</code> <code>dns:</code> <code>ip:</code> <code>email:</code> <code>uri:</code>
          </dt>
          <dd>only there</dd>
          <dt>
            <code>authority:issuing-ca</code> <code>profile:</code> <code>source:imported</code> <code>expires&lt;30d</code> <code>expires&gt;2027-01-31</code>
          </dt>
          <dd>narrow down, alone or with the others</dd>
        </dl>
      </details>
      {search.errors.length > 0 && <Notice tone="warn">{search.errors.map((e) => <p key={e}>{e}</p>)}</Notice>}
      <PagedTable
        caption="Certificates"
        paged={paged}
        columns={CERTIFICATE_COLUMNS}
        rowKey={(c) => c.serial}
        href={(c) => href(["certificates", c.serial])}
        empty={
          asked ? (
            <Empty icon="search" title="Nothing was found">
              <p>Look-ups are exact: give the whole name, serial or fingerprint. {status !== "all" && "Perhaps with another status?"}</p>
            </Empty>
          ) : status === "valid" || status === "all" ? (
            <Empty icon="certificate" title="No certificates yet">
              <p>
                Devices and servers get theirs through an <a href={href(["endpoints"])}>endpoint</a>, or <a href={href(["issue"])}>issue one here</a> from a request.
              </p>
            </Empty>
          ) : (
            <Empty icon="check" title={`No certificate is ${status}`} />
          )
        }
      />
    </>
  );
}
