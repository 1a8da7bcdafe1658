/* The table of pages: to add one, write it and put it here. */
import type { JSX } from "preact";
import { may, type Me } from "../lib/api";
import type { Place } from "../lib/router";
import type { IconName } from "../ui/icons";
import { Empty } from "../ui/parts";
import { AlertsPage } from "./alerts";
import { AskPage } from "./ask";
import { AuthoritiesPage } from "./authorities";
import { CertificatePage } from "./certificate";
import { CertificatesPage } from "./certificates";
import { DevicePage } from "./device";
import { DevicesPage } from "./devices";
import { DiscoveryPage } from "./discovery";
import { EventPage } from "./event";
import { FindingsPage } from "./findings";
import { HealthPage } from "./health";
import { IssuePage } from "./issue";
import { LoginPage } from "./login";
import { OverviewPage } from "./overview";
import { RegisterPage } from "./register";
import { RequestsPage } from "./requests";
import { ResourcesPage } from "./resources";
import { SettingsPage } from "./settings";
import { TokensPage } from "./tokens";
import { UsersPage } from "./users";

export interface PageProps {
  place: Place;
  me: Me;
}
type PageOf = (props: PageProps) => JSX.Element;

interface Entry {
  key: string;
  title: string;
  icon: IconName;
  /** Who sees it; the API holds the rule, this only keeps dead ends out of sight. */
  roles: string[];
  page: PageOf;
  detail?: PageOf;
}

const STAFF = ["admin", "operator", "auditor"];
const HANDS = ["admin", "operator"];

export const SECTIONS: { title: string; pages: Entry[] }[] = [
  {
    title: "Inventory",
    pages: [
      { key: "", title: "Overview", icon: "overview", roles: STAFF, page: OverviewPage },
      { key: "health", title: "Health", icon: "health", roles: STAFF, page: HealthPage },
      { key: "certificates", title: "Certificates", icon: "certificate", roles: STAFF, page: CertificatesPage, detail: CertificatePage },
      { key: "devices", title: "Devices", icon: "device", roles: [...STAFF, "owner"], page: DevicesPage, detail: DevicePage },
      { key: "discovery", title: "Discovery", icon: "find", roles: STAFF, page: DiscoveryPage, detail: DiscoveryPage },
    ],
  },
  {
    title: "Work",
    pages: [
      { key: "findings", title: "Findings", icon: "alert", roles: [...STAFF, "owner"], page: FindingsPage, detail: FindingsPage },
      { key: "alerts", title: "Alerts", icon: "bell", roles: [...STAFF, "owner"], page: AlertsPage },
      { key: "new-request", title: "New request", icon: "issue", roles: [...HANDS, "owner"], page: AskPage },
      { key: "requests", title: "Requests", icon: "request", roles: [...STAFF, "owner"], page: RequestsPage, detail: RequestsPage },
      { key: "issue", title: "Issue or try", icon: "check", roles: [...HANDS, "owner"], page: IssuePage },
      { key: "tokens", title: "Tokens", icon: "token", roles: STAFF, page: TokensPage },
    ],
  },
  {
    title: "Policy",
    pages: [
      { key: "profiles", title: "Profiles", icon: "profile", roles: STAFF, page: ResourcesPage, detail: ResourcesPage },
      { key: "endpoints", title: "Endpoints", icon: "endpoint", roles: STAFF, page: ResourcesPage, detail: ResourcesPage },
      { key: "authorities", title: "Authorities", icon: "authority", roles: STAFF, page: AuthoritiesPage, detail: AuthoritiesPage },
      { key: "trust-sets", title: "Trust sets", icon: "trust", roles: STAFF, page: ResourcesPage, detail: ResourcesPage },
    ],
  },
  {
    title: "Record",
    pages: [
      { key: "register", title: "Register", icon: "register", roles: STAFF, page: RegisterPage, detail: EventPage },
      { key: "users", title: "Users", icon: "people", roles: STAFF, page: UsersPage },
      { key: "principals", title: "Principals", icon: "profile", roles: STAFF, page: ResourcesPage, detail: ResourcesPage },
      { key: "tenants", title: "Tenants", icon: "tenant", roles: [], page: ResourcesPage, detail: ResourcesPage },
    ],
  },
];

export function visibleSections(pages: Entry[], me: Me): Entry[] {
  return pages.filter((p) => may(me, ...p.roles));
}

export function pageFor(place: Place, me: Me): PageOf | null {
  const [key = "", name] = place.path;
  if (key === "settings") return SettingsPage;
  if (key === "login") return LoginPage;
  const all = SECTIONS.flatMap((s) => s.pages);
  const found = all.find((p) => p.key === key);
  if (!found) return null;
  /* Who may not see the overview begins with what they may see. */
  if (key === "" && !may(me, ...found.roles)) return visibleSections(all, me)[0]?.page ?? NoRole;
  return name === undefined ? found.page : (found.detail ?? null);
}

function NoRole() {
  return (
    <Empty icon="people" title="You have no role in this tenant">
      <p>Your token is good, but nobody has given its principal a role here. An administrator can.</p>
    </Empty>
  );
}

export function NotFound() {
  return (
    <Empty icon="search" title="There is no such page">
      <p>
        <a href="#/">To the overview</a>
      </p>
    </Empty>
  );
}
