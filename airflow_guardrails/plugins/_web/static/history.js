// The rollouts of one endpoint so far, as dots with text.

import { h } from "./dom.js";
import { time } from "./time.js";
import { icon, statusOf, withoutStatus } from "./words.js";

// The history has no more of what is in flight.
const IN_FLIGHT = { words: "in flight", tone: "live", icon: "live" };

/** @param history newest first, as the API gives it; shown oldest first. */
export function historySection(item, history, page) {
  if (!history?.length) return null;
  return h(
    "section",
    { "data-key": "history", "aria-label": "History" },
    h(
      "header",
      null,
      h("h3", null, `History of ${item.report.endpoint_name}`),
      h("span", { class: "muted" }, "newest first"),
    ),
    h(
      "ol",
      { class: "history" },
      history.map((entry) => dot(entry, item, page)),
    ),
  );
}

function dot(entry, item, page) {
  const isCurrent = ["dag_id", "run_id", "task_id", "map_index"].every((part) => entry[part] === item[part]);
  const status = isCurrent ? statusOf(item) : entry.live ? IN_FLIGHT : statusOf({ ...entry, report: entry });
  // The cause stands before the first semicolon.
  const [why] =
    entry.kind === "rollout" && status.tone !== "good"
      ? withoutStatus(entry.summary, status).split(";")
      : [""];
  const kind = entry.kind === "shadow_test" ? "shadow test " : "";
  const text = [
    icon(status.icon),
    h("b", null, kind, status.words.toLowerCase()),
    entry.outcome && why && `: ${why}`,
  ];
  return h(
    "li",
    { class: status.tone, title: entry.summary, "aria-current": isCurrent ? "true" : null },
    isCurrent ? h("span", null, text) : page.open(entry, text),
    entry.endpoint_config_name && h("span", { class: "muted" }, entry.endpoint_config_name),
    entry.ended_at && h("span", { class: "muted" }, time(entry.ended_at)),
  );
}
