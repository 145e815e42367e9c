// The page of one rollout: what happens, and why, first.

import { taskUrl } from "./api.js";
import { alarmSection } from "./alarms.js";
import { consoleLink, h, link } from "./dom.js";
import { facts, headline } from "./headline.js";
import { historySection } from "./history.js";
import { judgeSection } from "./judge.js";
import { time } from "./time.js";
import { trafficSection } from "./traffic.js";
import { icon, isNumber, statusOf } from "./words.js";

/** @param page base, clock, stops, rollBacks, open() */
export function rolloutView({ item, history, rollback }, page) {
  const { report } = item;
  return h(
    "article",
    { class: `rollout ${statusOf(item).tone}`, "data-key": "rollout" },
    headline(item, page, { answer: { history, rollback } }),
    facts(item, page.clock),
    h("div", { class: "columns" }, trafficSection(item, page.clock), alarmSection(report)),
    judgeSection(report),
    warnings(report),
    h("div", { class: "columns" }, stages(report), about(item)),
    historySection(item, history, page),
    links(item, page),
  );
}

function warnings(report) {
  const findings = report.findings ?? [];
  const texts = report.warnings ?? [];
  if (!findings.length && !texts.length) return null;
  return h(
    "section",
    { "data-key": "warnings", "aria-label": "Warnings" },
    h("header", null, h("h3", null, "Warnings and findings")),
    h(
      "ul",
      { class: "plain" },
      texts.map((text) => h("li", { class: "warn" }, icon("warning"), h("span", null, text))),
      findings.map(({ severity, text, fix }) =>
        h(
          "li",
          { class: severity === "note" ? "neutral" : "warn" },
          icon(severity === "note" ? "dash" : "warning"),
          h("span", null, text, fix && h("span", { class: "muted" }, ` → ${fix}`)),
        ),
      ),
    ),
  );
}

function stages(report) {
  const all = report.stages ?? [];
  return h(
    "section",
    { "data-key": "stages", "aria-label": "Stages" },
    h(
      "header",
      null,
      h("h3", null, "Stages"),
      report.outcome &&
        !report.stages_complete &&
        h("span", { class: "muted" }, "incomplete: not every stage was seen"),
    ),
    all.length
      ? h(
          "table",
          { class: "stages" },
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              ["Stage", "At", "New instances"].map((text) => h("th", { scope: "col" }, text)),
            ),
          ),
          h(
            "tbody",
            null,
            all.map(({ stage, at, seen, instances, desired_instances: desired }) =>
              h(
                "tr",
                { class: seen === false ? "unseen" : null },
                h("td", null, stageInWords(stage, instances)),
                h("td", null, seen === false ? "not seen" : time(at)),
                h(
                  "td",
                  null,
                  isNumber(instances) && desired !== 0 && seen !== false ? `${instances} of ${desired ?? "?"}` : "–",
                ),
              ),
            ),
          ),
        )
      : h("p", { class: "muted" }, "No stage was seen."),
  );
}

function stageInWords(stage, instances) {
  return stage === "Deleting" ? `Deleting the ${instances ? "old" : "new"} instances` : stage;
}

function about(item) {
  const { report } = item;
  const rows = [
    ["Started", report.started_at && time(report.started_at, { zone: true })],
    ["Ended", report.ended_at && time(report.ended_at, { zone: true })],
    ["Task waits until", item.live && report.deadline && time(report.deadline, { zone: true })],
    ["SageMaker last answered", report.as_of && time(report.as_of, { zone: true })],
    ["Endpoint status", report.endpoint_status],
    ["Region and account", [report.region, report.account].filter(Boolean).join(" · ")],
    ["Strategy", report.strategy?.description],
    [
      "Started by",
      { own: "this task, in an earlier try", foreign: "somebody else: this task found it under way" }[
        report.adopted
      ],
    ],
    ["Approval", approval(report.approval)],
    ["Reported by", told(item)],
  ].filter(([, value]) => value);
  return h(
    "section",
    { "data-key": "about", "aria-label": "Details" },
    h("header", null, h("h3", null, "Details")),
    h(
      "dl",
      { class: "about" },
      rows.map(([term, value]) => [h("dt", null, term), h("dd", null, value)]),
    ),
  );
}

function approval(given) {
  if (!given) return null;
  const by = given.by ? ` by ${given.by}` : "";
  return h(
    "span",
    null,
    `${given.approved ? "approved" : "not approved"}${by}`,
    given.at && [" at ", time(given.at, { zone: true })],
  );
}

function told({ told_by: tasks }) {
  return (tasks ?? [])
    .map(
      ({ task_id, map_index, state }) =>
        `${task_id}${map_index >= 0 ? `[${map_index}]` : ""} (${state ?? "no state"})`,
    )
    .join(", ");
}

/** Links to the task instances and to AWS's consoles. */
export function links(item, page) {
  const { report } = item;
  const others = (item.told_by ?? []).filter(
    ({ task_id, map_index }) => task_id !== item.task_id || map_index !== item.map_index,
  );
  return h(
    "nav",
    { class: "links", "aria-label": "Links", "data-key": "links" },
    link(taskUrl(page.base, item), `Log of ${item.task_id}`),
    others.map((task) =>
      link(
        taskUrl(page.base, { ...item, ...task }),
        `Log of ${task.task_id}${task.map_index >= 0 ? `[${task.map_index}]` : ""}`,
      ),
    ),
    link(
      `${page.base}/dags/${encodeURIComponent(item.dag_id)}/runs/${encodeURIComponent(item.run_id)}`,
      `Run of ${item.dag_id}`,
    ),
    (report.links?.endpoint ?? null) && consoleLink(report.links.endpoint, "Endpoint in SageMaker"),
    (report.links?.test ?? null) && consoleLink(report.links.test, "Shadow test in SageMaker"),
  );
}
