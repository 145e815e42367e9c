// The card for Airflow's dashboard: live rollouts and the last bad ends, one line each.

import { causeOf } from "./alarms.js";
import { pageUrl } from "./api.js";
import { h, link } from "./dom.js";
import { next } from "./headline.js";
import { verdictInWords } from "./shadow-test.js";
import { time } from "./time.js";
import { badge, isNumber, percent, statusOf, withoutStatus } from "./words.js";

const LINES = 5;
const BAD = ["RolledBack", "RollbackFailed", "Failed", "TimedOut", "Cancelled", "TooFewRequests"];

export function cardView({ items }, page) {
  const live = items.filter((item) => item.live);
  const bad = items.filter(
    (item) =>
      !item.live &&
      (BAD.includes(item.report.outcome) || !item.report.outcome || item.verdict?.label === "Fail"),
  );
  const shown = [...live, ...bad].slice(0, LINES);
  return h(
    "section",
    { class: "card", "data-key": "card", "aria-label": "Rollouts" },
    h(
      "header",
      null,
      h("h3", null, link(pageUrl(page.base), "Rollouts")),
      h("span", { class: "muted" }, live.length ? `${live.length} live` : "none live"),
    ),
    shown.length
      ? h(
          "ul",
          { class: "lines" },
          shown.map((item) => line(item, page)),
        )
      : h("p", { class: "muted" }, "Nothing is being rolled out, and nothing has failed lately."),
  );
}

function line(item, page) {
  const { report } = item;
  const name = item.kind === "shadow_test" ? report.name : report.endpoint_name;
  return h(
    "li",
    { "data-key": JSON.stringify([item.dag_id, item.run_id, item.task_id, item.map_index]) },
    badge(statusOf(item)),
    page.open(item, name),
    h(
      "span",
      { class: "why" },
      item.live ? progress(item, page.clock) : why(item),
    ),
    !item.live && h("span", { class: "muted" }, time(report.ended_at ?? report.ends_at ?? item.seen_at)),
  );
}

function why(item) {
  if (item.verdict) return verdictInWords(item);
  return causeOf(item.report)?.text ?? withoutStatus(item.report.summary, statusOf(item));
}

function progress(item, clock) {
  const { report } = item;
  if (item.kind === "shadow_test") return withoutStatus(report.summary, statusOf(item));
  const share = isNumber(report.traffic?.percent)
    ? `${percent(report.traffic.percent)} on ${report.endpoint_config_name}`
    : report.endpoint_config_name;
  const [what] = next(item, clock);
  return what ? `${share} · ${what}` : share;
}
