// The list: what is live as cards that answer everything at once, what has ended as lines.

import { taskUrl } from "./api.js";
import { alarmSection } from "./alarms.js";
import { h, link } from "./dom.js";
import { facts, headline } from "./headline.js";
import { judgeSection } from "./judge.js";
import { requestsInWords, verdictInWords } from "./shadow-test.js";
import { time } from "./time.js";
import { trafficSection } from "./traffic.js";
import { badge, labelOf, readable, statusOf, withoutStatus } from "./words.js";

const OUTCOMES = {
  RolledBack: "rolled back",
  RollbackFailed: "rollback failed",
  Failed: "failed",
  TimedOut: "timed out",
  Superseded: "superseded",
  NotStarted: "not started",
  Succeeded: "succeeded",
};

export function listView({ items, next }, page) {
  const live = items.filter((item) => item.live);
  const ended = items.filter((item) => !item.live);
  return h(
    "div",
    { class: "list", "data-key": "list" },
    filters(page),
    !items.length && empty(page.filters),
    live.map((item) => readable(item, () => card(item, page))),
    ended.length > 0 && table(ended, page),
    next && h("p", null, h("button", { type: "button", onclick: page.more }, "Show older ones")),
  );
}

function filters(page) {
  const { filters } = page;
  const select = (name, label, options) =>
    h(
      "label",
      null,
      label,
      h(
        "select",
        { name, onchange: (event) => page.filter({ [name]: event.target.value }) },
        Object.entries(options).map(([value, text]) =>
          h("option", { value, selected: filters[name] === value }, text),
        ),
      ),
    );
  return h(
    "form",
    { class: "filters", "data-key": "filters", role: "search", onsubmit: () => false },
    h(
      "label",
      null,
      "Endpoint",
      h("input", {
        type: "search",
        name: "endpoint",
        placeholder: "all",
        value: filters.endpoint,
        autocomplete: "off",
        onchange: (event) => page.filter({ endpoint: event.target.value.trim() }),
      }),
    ),
    select("live", "Show", { "": "live and ended", true: "live", false: "ended" }),
    select("outcome", "Outcome", { "": "any", ...OUTCOMES }),
    select("kind", "Kind", {
      "": "updates and shadow tests",
      rollout: "updates",
      shadow_test: "shadow tests",
    }),
  );
}

function empty(filters) {
  const isFiltered = Object.values(filters).some(Boolean);
  return h(
    "p",
    { class: "empty" },
    isFiltered
      ? "Nothing matches these filters."
      : "No rollouts yet. A guarded update or a shadow test appears here when its task starts. Only DAGs are shown whose XComs you may read.",
  );
}

/** A live rollout: enough to answer which stage, how much traffic, which alarm, what was compared, how to stop. */
function card(item, page) {
  const { report } = item;
  const isRollout = item.kind === "rollout";
  return h(
    "article",
    { class: `rollout ${statusOf(item).tone}`, "data-key": keyOf(item) },
    headline(item, page, { link: true }),
    isRollout
      ? [
          facts(item, page.clock),
          h("div", { class: "columns" }, trafficSection(item, page.clock), alarmSection(report)),
          judgeSection(report, { brief: true }),
        ]
      : h(
          "p",
          null,
          badge(labelOf(item.verdict?.label)),
          ` ${requestsInWords(report) ?? "unknown"} requests`,
          report.ends_at && [" · ends ", time(report.ends_at, { zone: true })],
        ),
  );
}

function table(items, page) {
  return h(
    "table",
    { class: "ended", "data-key": "ended" },
    h("caption", { class: "hidden" }, "Ended"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        ["Outcome", "Endpoint", "What happened", "Ended", "Task"].map((text) =>
          h("th", { scope: "col" }, text),
        ),
      ),
    ),
    h(
      "tbody",
      null,
      items.map((item) => row(item, page)),
    ),
  );
}

function row(item, page) {
  const { report } = item;
  const status = statusOf(item);
  return h(
    "tr",
    { class: status.tone, "data-key": keyOf(item) },
    h("td", null, badge(status)),
    h(
      "td",
      null,
      page.open(item, item.kind === "shadow_test" ? report.name : report.endpoint_name),
      item.kind === "shadow_test" && h("span", { class: "muted" }, " shadow test"),
    ),
    h("td", null, item.kind === "shadow_test" ? verdictInWords(item) : withoutStatus(report.summary, status)),
    h("td", null, time(report.ended_at ?? report.ends_at ?? item.seen_at)),
    h("td", null, link(taskUrl(page.base, item), `${item.dag_id} · ${item.task_id}`)),
  );
}

function keyOf({ dag_id, run_id, task_id, map_index }) {
  return JSON.stringify([dag_id, run_id, task_id, map_index]);
}
