/* What the API answers, as far as the console reads it. */

export interface Page<T> {
  items: T[];
  next?: string;
}

export interface Certificate {
  serial: string;
  status: "valid" | "revoked" | "on-hold" | "expired";
  source: "issued" | "imported" | "discovered";
  foreign_serial?: string;
  subject: string;
  authority: string;
  profile: string;
  profile_version: number;
  device: string;
  endpoint: string;
  issued_at: string | null;
  not_before: string | null;
  not_after: string | null;
  fingerprint: string;
  revoked_at?: string;
  reason?: string;
  certificate?: string;
}

export interface Described {
  type: string;
  subject?: string;
  issuer?: string;
  serial?: string;
  notBefore?: string;
  notAfter?: string;
  key?: string;
  keySha256?: string;
  signature?: string;
  ca?: boolean;
  keyUsage?: string[];
  extKeyUsage?: string[];
  subjectAltName?: string[];
  subjectKeyIdentifier?: string;
  sha256?: string;
}

export interface Device {
  id: string;
  serial: string;
  model: string;
  vendor: string;
  owner: string;
  place: string;
  batch: string;
  state: string;
  identifiers: Record<string, string>;
  tags: Record<string, string>;
  created_at: string;
  updated_at: string;
  version: number;
  certificates?: Certificate[];
}

export interface Event {
  pos: number;
  time: string;
  type: string;
  subject: string;
  leaf?: string;
  body: Record<string, unknown> | null;
}

export interface EventPage {
  items: Event[];
  next?: number;
}

export interface Summary {
  pending: { count: number; more: boolean };
  expiring: { days: number; count: number; more: boolean; items: Certificate[] };
  recent: Event[];
  activity: { step: number; from: number; whole: boolean; issued: number[]; revoked: number[]; refused: number[] };
}

export interface AuthorityStatus {
  name: string;
  root: boolean;
  offline: boolean;
  disabled: boolean;
  not_after: string;
  crl: { number: string; this_update: string; next_update: string; octets: number; stale: boolean } | null;
}

export interface Job {
  name: string;
  runs: number;
  failures: number;
  last_ms: number;
  failing: boolean;
  why?: string;
}

export interface Status {
  version: string;
  tenant: string;
  started_at: string;
  signer: boolean;
  read_only: boolean;
  read_only_reason?: string;
  counts: { certificates: number; revoked: number; expired: number; devices: number; events: number };
  register: { events: number; checkpoint: number; checkpoint_at: string | null; signatures_waiting: number };
  authorities: AuthorityStatus[];
  jobs: Job[];
}

export interface Request {
  id: string;
  kind: string;
  status: string;
  created_at: string;
  expires_at: string;
  request: Record<string, unknown>;
}

export interface Resource {
  kind: string;
  name: string;
  title?: string;
  description?: string;
  metadata: { version: number; updated_at: string; updated_by: string };
  [key: string]: unknown;
}

export interface Token {
  id: string;
  status: string;
  claims: Record<string, unknown>;
  expires_at: string;
  uses?: number;
  max_uses?: number;
  created_at: string;
  created_by: string;
}

export interface Decision {
  verdict: "issue" | "pend" | "deny";
  rule?: string;
  reason?: string;
  trace: { rule: string; result: string; detail: string }[];
  plan?: Record<string, unknown> & { names?: string[]; extensions?: { oid: string; critical: boolean; value: string }[] };
}

export interface Crl {
  authority: string;
  number: string;
  this_update: string;
  next_update: string;
  revoked: number;
  octets: number;
  url: string;
  series?: { count: number; last: string; ends: string; missing: number };
  crl?: string;
}
