/** The views, by path. */

import type { FunctionComponent } from 'preact';
import { Compare } from './compare';
import { Findings } from './findings';
import { Flame } from './flame';
import { Health } from './health';
import { Overview } from './overview';
import { Processes } from './processes';
import { Request } from './request';
import { Requests } from './requests';
import { Vendors } from './vendors';

/** What every view is given: a number that rises when there is something new. */
export interface ViewProps {
  version: number;
}

export interface View {
  path: string;
  /** The entry of the menu that it belongs to. */
  within: string;
  title: string;
  isListed: boolean;
  View: FunctionComponent<ViewProps>;
}

export const VIEWS: View[] = [
  listed('/', 'overview', Overview),
  listed('/requests', 'requests', Requests),
  listed('/flame', 'flame graph', Flame),
  listed('/vendors', 'vendors', Vendors),
  listed('/findings', 'findings', Findings),
  listed('/compare', 'compare', Compare),
  listed('/processes', 'processes', Processes),
  listed('/health', 'health', Health),
  { path: '/requests/', within: '/requests', title: 'request', isListed: false, View: Request },
];

function listed(path: string, title: string, View: FunctionComponent<ViewProps>): View {
  return { path, within: path, title, isListed: true, View };
}

export function viewOf(path: string): View {
  const exact = VIEWS.find((view) => view.path === path);
  const below = VIEWS.find(
    (view) => view.path.endsWith('/') && view.path !== '/' && path.startsWith(view.path),
  );
  return exact ?? below ?? (VIEWS[0] as View);
}
