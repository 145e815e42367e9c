// The rollouts of one endpoint so far, as dots with text.

import { h } from "./dom.js";
import { time } from "./time.js";
import { icon, statusOf } from "./words.js";

/** @param history newest first, as the API gives it; shown oldest first. */
export function historySection(item, history, page) {
  if (!history?.length) return null;
  return h(
    "section",
    { "data-key": "history", "aria-label": "History" },
    h("header", null, h("h3", null, `History of ${item.report.endpoint_name}`), h("span", { class: "muted" }, "newest first")),
    h("ol", { class: "history" }, history.map((entry) => dot(entry, item, page))),
  );
}

function dot(entry, item, page) {
  const isCurrent = ["dag_id", "run_id", "task_id", "map_index"].every((part) => entry[part] === item[part]);
  const status = statusOf({ kind: entry.kind, live: !entry.outcome, report: { outcome: entry.outcome, summary: "", status: "running" } });
  const text = [icon(status.icon), h("b", null, status.words.toLowerCase()), ` ${entry.endpoint_config_name ?? ""}`];
  return h(
    "li",
    { class: status.tone, title: entry.summary, "aria-current": isCurrent ? "true" : null },
    isCurrent ? h("span", null, text) : page.open(entry, text),
    entry.ended_at && h("span", { class: "muted" }, time(entry.ended_at)),
  );
}
