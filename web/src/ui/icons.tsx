/* Line icons on a grid of 20, and the maker's mark. */
import type { JSX } from "preact";

const PATHS = {
  overview: "M3 11.5 10 4l7 7.5M5 10v6.5h10V10M8.5 16.5v-4h3v4",
  certificate: "M4 3.5h12v9H4zM7 6.5h6M7 9h3.5M12 12v5l-2-1.3L8 17v-5",
  device: "M6 6h8v8H6zM8.5 3v3M11.5 3v3M8.5 14v3M11.5 14v3M3 8.5h3M3 11.5h3M14 8.5h3M14 11.5h3",
  request: "M4 4h12v12H4zM4 11h3.5l1 2h3l1-2H16M10 4.5v4M8.2 7 10 8.8 11.8 7",
  profile: "M5 3h7l3 3v11H5zM12 3v3h3M7.5 9.5h5M7.5 12h5M7.5 14.5h3",
  authority: "M10 3 3.5 6v1.5h13V6zM5 8v6M8.3 8v6M11.7 8v6M15 8v6M3.5 14.5h13V17h-13z",
  endpoint: "M6 17V3.5h8V17M3.5 17h13M11.5 10h.01",
  token: "M12.5 3.5a4 4 0 1 1-3.3 6.3L3.5 15.5V17H6v-2h2v-2h1.5l1.2-1.2M13.5 6.5h.01",
  register: "M5 3.5h10.5V17H6.5A1.5 1.5 0 0 1 5 15.5zM5 15.5A1.5 1.5 0 0 1 6.5 14h9M8 6.5h4.5M8 9h4.5",
  trust: "M10 3l6 2.2v4.3c0 3.6-2.5 6-6 7.5-3.5-1.5-6-3.9-6-7.5V5.2zM7.3 9.8l2 2 3.4-3.6",
  people: "M8 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 16.5c.3-3 2.4-4.6 5.5-4.6s5.2 1.6 5.5 4.6M12.5 3.9a3 3 0 0 1 0 5.3M14.5 12.3c1.8.6 2.9 2 3.1 4.2",
  tenant: "M3.5 17V6.5L10 3l6.5 3.5V17M7 9.5h.01M10 9.5h.01M13 9.5h.01M7 12.5h.01M13 12.5h.01M8.7 17v-3.5h2.6V17",
  search: "M8.8 14.5a5.7 5.7 0 1 0 0-11.4 5.7 5.7 0 0 0 0 11.4zM13 13l4 4",
  issue: "M10 4v12M4 10h12",
  copy: "M7 7h9.5v9.5H7zM4.5 13h-1V3.5H13v1",
  check: "M4 10.5l4 4 8-9",
  close: "M5 5l10 10M15 5 5 15",
  alert: "M10 3 2.5 16.5h15zM10 8v4M10 14.3h.01",
  info: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 9v4.5M10 6.5h.01",
  back: "M12 4.5 6.5 10l5.5 5.5",
  next: "M8 4.5 13.5 10 8 15.5",
  menu: "M3.5 5.5h13M3.5 10h13M3.5 14.5h13",
  leave: "M8 3.5H4v13h4M12.5 6.5 16 10l-3.5 3.5M16 10H8",
  download: "M10 3.5v9M6.5 9.5 10 13l3.5-3.5M3.5 16.5h13",
  refresh: "M15.8 8A6.2 6.2 0 1 0 16 12.5M16 4v4h-4",
  health: "M10 2.8 17 8l-2.7 8.2H5.7L3 8zM10 6.8l3.2 2.4-1.2 3.8H8L6.8 9.2z",
  settings: "M4 5.5h5M13 5.5h3M9 3.5h4v4H9zM4 14.5h2M10 14.5h6M6 12.5h4v4H6zM4 10h12",
  find: "M3.5 10c1.6-3 3.8-4.5 6.5-4.5s4.9 1.5 6.5 4.5c-1.6 3-3.8 4.5-6.5 4.5S5.1 13 3.5 10zM10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  bell: "M5.5 13.5V9a4.5 4.5 0 0 1 9 0v4.5l1.5 1.5H4zM8.5 15.5a1.6 1.6 0 0 0 3 0",
  radar: "M10 17a7 7 0 1 1 7-7M10 13.5a3.5 3.5 0 1 1 3.5-3.5M10 10l5-5",
  history: "M4.2 8A6.2 6.2 0 1 1 4 12M4 4v4h4M10 6.5V10l2.5 2",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A punch as a maker strikes it: the cut-cornered cartouche, T over M in one stroke. */
export function Mark({ size = 28 }: { size?: number }): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" width={size} height={size} aria-hidden="true" focusable="false">
      <path class="mark-field" d="M9 1.5h14L30.5 9v14L23 30.5H9L1.5 23V9z" />
      <path class="mark-rim" d="M10 4h12l6 6v12l-6 6H10l-6-6V10z" />
      <path class="mark-strike" d="M8.5 9.8h15M16 9.8v13M9.8 22.8v-8.6L16 19l6.2-4.8v8.6" />
    </svg>
  );
}
