/* The inventory: search and page through every certificate that is known. */
import { useEffect, useState } from "preact/hooks";
import { api, apiText, save } from "../lib/api";
import { commonName, shortHex } from "../lib/format";
import { href, replaceQuery } from "../lib/router";
import type { Certificate, Page } from "../lib/types";
import { about, useAction, useTitle } from "../ui/hooks";
import { Icon } from "../ui/icons";
import { Badge, Chips, Empty, Head, Name, ProblemBox, Until } from "../ui/parts";
import { PagedTable, usePages, type Column } from "../ui/table";
import { Views } from "../ui/views";
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

/** What was typed, narrowed by what was chosen; the house understands it (docs/inventory.md). */
export function queryOf(asked: string, status: string): string {
  const chosen = status === "all" || /(^|[\s(-])status:/i.test(asked) ? "" : `status:${status}`;
  return asked && chosen ? `(${asked}) ${chosen}` : asked || chosen;
}

export function CertificatesPage({ place }: PageProps) {
  useTitle("Certificates");
  const asked = place.query.q ?? "";
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  const status = place.query.status ?? (asked ? "all" : "valid");
  const sort = place.query.sort ?? (asked ? "newest" : "expires");
  const query = queryOf(asked, status);
  const paged = usePages<Certificate>((after, signal) => api<Page<Certificate>>("/certificates", { query: { query, sort, limit: PAGE, after }, signal }), [query, sort], about("certificate."));
  const out = useAction(async () => save("certificates.csv", await apiText("/certificates/export", { query: { query, sort, form: "csv" }, accept: "text/csv" }), "text/csv"));
  const set = (query: Record<string, string | undefined>) => replaceQuery(place, query);
  return (
    <>
      <Head title="Certificates" lead={`Everything that was issued here or brought in, ${sort === "expires" ? "what ends next first" : sort === "oldest" ? "the oldest first" : "the newest first"}.`}>
        <button type="button" class="button" disabled={out.busy} onClick={() => out.run()}>
          <Icon name="download" />
          {out.busy ? "Writing…" : "CSV"}
        </button>
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
          set({ q: text.trim() || undefined, status: undefined, sort: undefined });
        }}
      >
        <div class="search wide">
          <Icon name="search" />
          <input
            type="search"
            value={text}
            aria-label="Search certificates"
            aria-describedby="search-help"
            placeholder="web.example.org, SN-4711, 014e6b…, expires<30d owner:facilities"
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
        <summary>What can be asked</summary>
        <dl>
          <dt>
            <code>web.example.org</code> <code>192.0.2.7</code> <code>SN-4711</code> <code>014e6b01…</code>
          </dt>
          <dd>a word alone: a name, an address, a device, a serial, a fingerprint</dd>
          <dt>
            <code>issuer:issuing-ca</code> <code>profile:device-*</code> <code>owner:facilities</code> <code>key:rsa1024</code> <code>signature:sha1</code> <code>class:self-signed</code>
          </dt>
          <dd>only those; also cn, subject, dns, ip, email, uri, device, source, place, service, tag</dd>
          <dt>
            <code>expires&lt;30d</code> <code>expires&gt;2027-01-31</code> <code>issued&lt;7d</code> <code>lifetime&gt;398d</code>
          </dt>
          <dd>by time; h, d, w, m and y are spans from now</dd>
          <dt>
            <code>-status:revoked</code> <code>key:rsa1024 OR signature:sha1</code> <code>(… OR …) status:valid</code>
          </dt>
          <dd>not, or, and together; several terms all have to hold</dd>
        </dl>
      </details>
      {out.problem && <ProblemBox problem={out.problem} />}
      <Views query={asked ? query : ""} sort={sort} />
      <PagedTable
        caption="Certificates"
        paged={paged}
        columns={CERTIFICATE_COLUMNS}
        rowKey={(c) => c.serial}
        href={(c) => href(["certificates", c.serial])}
        empty={
          asked ? (
            <Empty icon="search" title="Nothing was found">
              <p>Whole names, serials and fingerprints are looked up as they are; a star stands for any run of characters: <code>dns:*.example.org</code>. {status !== "all" && "Perhaps with another status?"}</p>
            </Empty>
          ) : status === "valid" || status === "all" ? (
            <Empty icon="certificate" title="No certificates yet">
              <p>
                Devices and servers get theirs through an <a href={href(["endpoints"])}>endpoint</a>, or <a href={href(["issue"])}>issue one here</a> from a request.
              </p>
            </Empty>
          ) : (
            <Empty icon="check" title={`No certificate is ${status}`}>
              <p>
                {status === "revoked" ? "A certificate's own page takes it back, with the reason that its revocation list gives." : "How long ended ones are kept says the retention of their profile."}
              </p>
            </Empty>
          )
        }
      />
    </>
  );
}
