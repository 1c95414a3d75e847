/** The answers of the API, as `docs/api.md` and `tracer/data/report.schema.json` have them. Times in ns, `null` is unknown. */

export type Ns = number;
export type Buckets = Record<string, Ns | null>;

export interface Figures {
  requests: number;
  errors: number;
  incomplete: number;
  p50_ns: Ns | null;
  p95_ns: Ns | null;
  p99_ns: Ns | null;
  buckets: Buckets;
}

export interface Point extends Figures {
  start_unix_ns: Ns;
}

export interface RouteFigures extends Figures {
  route: string;
}

export interface Overview {
  from_unix_ns: Ns;
  to_unix_ns: Ns;
  step_ns: Ns;
  total: Figures;
  points: Point[];
  routes: RouteFigures[];
}

export interface Listed {
  id: string;
  pid: number;
  route: string;
  status: number | null;
  is_error: boolean;
  complete: boolean;
  start_unix_ns: Ns;
  wall_ns: Ns;
  buckets: Buckets;
  calls: number;
}

export interface Page {
  requests: Listed[];
  next: string | null;
}

export interface Frame {
  function: string;
  file: string;
  line: number;
}

export interface Caller {
  function: string;
  file: string;
  line: number | null;
  application: boolean;
}

export interface Call {
  id: string;
  vendor: string | null;
  host: string | null;
  port: number | null;
  operation: string | null;
  model: string | null;
  stream: boolean | null;
  status: number | null;
  attempt: number;
  start_unix_ns: Ns;
  wall_ns: Ns;
  dns_ns: Ns | null;
  connect_ns: Ns | null;
  tls_ns: Ns | null;
  send_ns: Ns | null;
  first_byte_ns: Ns | null;
  first_content_ns: Ns | null;
  stream_ns: Ns | null;
  read_delay_ns: Ns | null;
  rtt_ns: Ns | null;
  chunks: number;
  bytes_in: number;
  bytes_out: number;
  input_tokens: number | null;
  output_tokens: number | null;
  connection_reused: boolean;
  vendor_request_id: string | null;
  vendor_reported_ns: Ns | null;
  end: string | null;
  stack: Caller[];
}

export interface Delay {
  request: string;
  route: string;
  function: Frame | null;
  wait_ns: Ns;
}

/** Waits of threads and coroutines in one place, the innermost function first. */
export interface Wait {
  bucket: string;
  stack: Frame[];
  wait_ns: Ns;
  times: number;
}

export interface FunctionTime extends Frame {
  self_ns: Ns;
  total_ns: Ns;
  /** Parts of its own time, the longest first. */
  native: { library: string; self_ns: Ns }[];
  samples: number;
}

export interface Request {
  id: string;
  pid: number;
  kind: 'http' | 'run';
  method: string | null;
  path: string | null;
  route: string | null;
  status: number | null;
  start_unix_ns: Ns;
  wall_ns: Ns;
  first_byte_ns: Ns | null;
  complete: boolean;
  traceparent: string | null;
  buckets: Buckets;
  cpu_ns: Ns;
  contexts: number;
  calls: Call[];
  delays: Delay[];
  background: { wall_ns: Ns; buckets: Buckets; cpu_ns: Ns; calls: Call[] } | null;
  functions: FunctionTime[];
  waits: Wait[];
}

export interface Piece {
  start_ns: Ns;
  end_ns: Ns;
  bucket: string;
}

export interface Step {
  start_ns: Ns;
  end_ns: Ns;
  context: number;
  tid: number;
  /** Index into the request's functions. */
  function: number | null;
}

export interface Placed {
  context: number;
  start_ns: Ns;
  phases: Piece[];
}

/** What another request's step kept of the event loop while this one waited for it. */
export interface HeldUp {
  start_ns: Ns;
  end_ns: Ns;
  /** Index into the request's delays. */
  delay: number;
}

export interface Whole {
  request: Request;
  timeline: Piece[];
  steps: Step[];
  calls: Placed[];
  held_up: HeldUp[];
  unknown: Unknown[];
}

export interface Vendor {
  vendor: string;
  host: string;
  model: string;
  calls: number;
  errors: number;
  retries: number;
  input_tokens: number;
  output_tokens: number;
  wall_p50_ns: Ns | null;
  wall_p95_ns: Ns | null;
  first_byte_p50_ns: Ns | null;
  first_byte_p95_ns: Ns | null;
  first_content_p50_ns: Ns | null;
  first_content_p95_ns: Ns | null;
  tokens_per_second_p50: number | null;
  tokens_per_second_p5: number | null;
}

export interface Finding {
  kind: string;
  /** Whose it is to fix. */
  side: 'own' | 'vendor' | 'other';
  title: string;
  requests: number;
  cost_ns: Ns;
  evidence: Record<string, unknown>;
  advice: string;
}

export interface Unknown {
  pid: number;
  bucket: string;
  reason: string;
}

export interface Process {
  pid: number;
  start_unix_ns: Ns;
  exe: string;
  cmdline: string;
  python: string | null;
  container_id: string | null;
  pod: { namespace: string; name: string; container: string; node: string } | null;
  seen_unix_ns: Ns;
  unknown: Unknown[];
}

export interface Health {
  version: string;
  is_tracing: boolean;
  now_unix_ns: Ns;
  uptime_ns: Ns;
  at_unix_ns: Ns;
  processes: number;
  requests: number;
  lost: Record<string, number>;
  events: number;
  late_events: number;
  ring_lag_ns: Ns;
  held: Record<string, number>;
  cpu_ns: Ns | null;
  resident_bytes: number | null;
  open_files: number | null;
  history: { path: string | null; bytes: number; trouble: string | null };
}

/** A function on those that called it, or a bucket. */
export interface FlameBox {
  /** Index of the box that it stands on. */
  parent: number | null;
  function: string | null;
  file: string | null;
  line: number | null;
  is_of_application: boolean;
  bucket: string | null;
  vendor: string | null;
  wall_ns: Ns;
}

export interface Flame {
  requests: number;
  of_requests: number;
  wall_ns: Ns;
  boxes: FlameBox[];
}

/** One figure on both sides, as in `tracer/data/diff.schema.json`. */
export interface Comparison {
  base_ns: number | null;
  new_ns: number | null;
  difference_ns: number | null;
  interval_ns: [number, number] | null;
  ratio: number | null;
  verdict: string;
}

export interface Quantiles {
  p50: Comparison;
  p95: Comparison;
}

export interface DiffSide {
  start_unix_ns: Ns;
  duration_ns: Ns;
  requests: number;
  incomplete: number;
}

export interface DiffFunction {
  function: string;
  file: string;
  base_line: number | null;
  new_line: number | null;
  self: Comparison;
  total: Comparison;
}

export interface DiffRoute {
  route: string;
  presence: 'both' | 'new' | 'gone';
  base_requests: number;
  new_requests: number;
  base_errors: number;
  new_errors: number;
  wall: Quantiles;
  buckets: Record<string, Quantiles>;
  functions: DiffFunction[];
}

export interface Diff {
  base: DiffSide;
  new: DiffSide;
  confidence: number;
  routes: DiffRoute[];
}
