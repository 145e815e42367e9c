// Requests to our own API and to Airflow's, with the cookie of the reader.

/** An answer that is not a success, in words for the reader. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Reads one address again and again; only a changed answer is transferred. */
export class Resource {
  #etag = null;

  constructor(url) {
    this.url = url;
  }

  /** Return { data, now }: data is null if nothing has changed, now is the server's time. */
  async read(signal) {
    const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
    // no-store: else the browser's cache would answer 200 where the server said 304.
    const response = await fetch(this.url, {
      headers,
      signal,
      cache: "no-store",
      credentials: "same-origin",
    });
    if (response.status === 304) return { data: null, now: response.headers.get("Date") };
    if (!response.ok) throw new Refused(response.status, await detailOf(response));
    const data = await response.json();
    this.#etag = response.headers.get("ETag");
    return { data, now: data.now };
  }
}

export function listUrl(base, filters, before = null) {
  return `${base}/airflow-guardrails/api/rollouts?${query({ ...filters, limit: 25, before })}`;
}

export function rolloutUrl(base, key) {
  return `${base}/airflow-guardrails/api/rollout?${query(key)}`;
}

/** The page of one rollout, or of all. */
export function pageUrl(base, key = {}) {
  const text = query(key);
  return `${base}/airflow-guardrails/rollouts${text ? `?${text}` : ""}`;
}

/** The task instance in Airflow's UI. Its first tab shows the log. */
export function taskUrl(base, { dag_id, run_id, task_id, map_index }) {
  const path = [
    "dags",
    dag_id,
    "runs",
    run_id,
    "tasks",
    task_id,
    ...(map_index >= 0 ? ["mapped", map_index] : []),
  ];
  return `${base}/${path.map(encodeURIComponent).join("/")}`;
}

/** What identifies the task instance of an item. */
export function keyOf({ dag_id, run_id, task_id, map_index }) {
  return { dag_id, run_id, task_id, map_index: map_index ?? -1 };
}

/** Mark a task instance failed, as Airflow's own button does. Throws Refused, or TypeError without an answer. */
export async function markFailed(base, { dag_id, run_id, task_id, map_index }) {
  const path = [
    "dags",
    dag_id,
    "dagRuns",
    run_id,
    "taskInstances",
    task_id,
    ...(map_index >= 0 ? [map_index] : []),
  ];
  const response = await fetch(`${base}/api/v2/${path.map(encodeURIComponent).join("/")}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ new_state: "failed" }),
    credentials: "same-origin",
  });
  if (!response.ok) throw new Refused(response.status, await detailOf(response));
}

/** Start a run of a DAG, as Airflow's own button does; return it. Throws as markFailed does. */
export async function triggerRun(base, dagId, conf) {
  const response = await fetch(`${base}/api/v2/dags/${encodeURIComponent(dagId)}/dagRuns`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ logical_date: null, conf }),
    credentials: "same-origin",
  });
  if (!response.ok) throw new Refused(response.status, await detailOf(response));
  return response.json();
}

function query(values) {
  const given = Object.entries(values).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return new URLSearchParams(given).toString();
}

async function detailOf(response) {
  try {
    const { detail } = await response.json();
    return typeof detail === "string" ? detail : "";
  } catch {
    return "";
  }
}
