/* What the API answers, as far as the console reads it. */

export interface Page<T> {
  items: T[];
  next?: string;
}

/** As much of a certificate as tells which it is. */
export interface Brief {
  serial: string;
  status: Certificate["status"];
  subject: string;
  profile: string;
  issued_at: string | null;
  not_after: string | null;
}

export interface Certificate {
  serial: string;
  status: "valid" | "revoked" | "on-hold" | "expired";
  source: "issued" | "imported" | "discovered";
  foreign_serial?: string;
  subject: string;
  names?: string[];
  authority: string;
  profile: string;
  profile_version: number;
  device: string;
  endpoint: string;
  key: string;
  ca: boolean;
  issued_at: string | null;
  not_before: string | null;
  not_after: string | null;
  fingerprint: string;
  revoked_at?: string;
  reason?: string;
  certificate?: string;
  replaces?: Brief[];
  replaced_by?: Brief[];
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
  activity: { step: number; from: number; whole: boolean; issued: number[]; revoked: number[]; refused: number[]; renewed: number[] };
  doors: { door: string; issued: number; renewed: number; denied: number }[];
  latency: { model: string; count: number; median_ms: number; worst_ms: number }[];
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
  public_base: string;
  ports: { enrollment: number; plain: number };
  signer: boolean;
  read_only: boolean;
  read_only_reason?: string;
  counts: { certificates: number; revoked: number; expired: number; devices: number; events: number };
  register: { events: number; checkpoint: number; checkpoint_at: string | null; signatures_waiting: number };
  authorities: AuthorityStatus[];
  jobs: Job[];
}

export interface Comment {
  by: string;
  at: string;
  text: string;
  decision?: "approved" | "rejected";
}

export interface Request {
  id: string;
  kind: string;
  status: "pending" | "done" | "rejected" | "expired";
  created_at: string;
  expires_at: string;
  asked_by: string;
  mine: boolean;
  may_decide: boolean;
  comments: Comment[];
  request: Record<string, unknown>;
  serial?: string;
  certificate?: string;
  chain?: string;
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

export interface PostureCheck {
  id: string;
  title: string;
  score: number | null;
  weight: number;
  fact: string;
  move?: string;
  gain?: number;
}

export interface PostureAxis {
  axis: string;
  title: string;
  score: number | null;
  checks: PostureCheck[];
}

export interface Posture {
  at: string;
  axes: PostureAxis[];
}

export interface Choice {
  endpoint: string;
  profile: string;
  description: string;
  approval: boolean;
  deadline: string;
  device: boolean;
  lives: string;
  key_algorithms: string[];
  names: string[];
  inherits: boolean;
  renews_also: string[];
}

export interface EnrollAnswer {
  status?: string;
  serial?: string;
  certificate?: string;
  chain?: string;
  request?: string;
  decision?: Decision;
}
