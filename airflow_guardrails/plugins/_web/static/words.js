// Words, icons and numbers that several parts of the page share.

import { h, svg } from "./dom.js";

// Outcome or state -> words, tone (the colour) and icon. The words and the icon never depend on the colour.
const OUTCOMES = {
  Succeeded: ["SUCCEEDED", "good", "check"],
  RolledBack: ["ROLLED BACK", "bad", "back"],
  RollbackFailed: ["ROLLBACK FAILED", "bad", "warning"],
  Failed: ["FAILED", "bad", "cross"],
  Superseded: ["SUPERSEDED", "neutral", "dash"],
  NotStarted: ["NOT STARTED", "neutral", "dash"],
  TimedOut: ["TIMED OUT", "warn", "clock"],
  // Of a shadow test:
  Reached: ["ENDED", "neutral", "check"],
  Cancelled: ["CANCELLED", "warn", "cross"],
  NotFound: ["NOT FOUND", "bad", "cross"],
  TooFewRequests: ["TOO FEW REQUESTS", "warn", "warning"],
};
const STAGES = {
  Creating: "STARTING INSTANCES",
  Updating: "STARTING INSTANCES",
  ActivatingTraffic: "SHIFTING TRAFFIC",
  Baking: "BAKING",
  Deleting: "REMOVING OLD INSTANCES",
};
const LABELS = {
  Pass: ["PASS", "good", "check"],
  Fail: ["FAIL", "bad", "cross"],
  Inconclusive: ["INCONCLUSIVE", "neutral", "question"],
};
const ICONS = {
  check: "M3 8.5l3.2 3.2L13 5",
  cross: "M4 4l8 8M12 4l-8 8",
  back: "M6.5 3.5L3 7l3.5 3.5M3.5 7h6a3.2 3.2 0 0 1 0 6.4H7",
  warning: "M8 2.2L14.5 13.5h-13zM8 6.3v3.4M8 11.4v.4",
  dash: "M3.5 8h9",
  clock: "M8 2a6 6 0 1 0 .01 0M8 4.8V8l2.2 1.6",
  question: "M5.8 6.2a2.2 2.2 0 1 1 3.3 1.9c-.8.4-1.1.8-1.1 1.6M8 12v.4",
  live: "M8 2.5a5.5 5.5 0 1 0 .01 0M8 6.2a1.8 1.8 0 1 0 .01 0",
  stop: "M4 4h8v8H4z",
};

/** An icon. Its meaning is always next to it in words. */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
  );
}

/** The status of an item: { words, tone, icon }. */
export function statusOf(item, { isStopRequested = false } = {}) {
  const { report } = item;
  if (!report.outcome && isStopRequested) return named(["STOP REQUESTED", "warn", "stop"]);
  if (report.outcome === "Reached" && item.verdict?.label) return judged(item.verdict.label);
  if (report.outcome === "Reached" && report.status === "Running") return named(["ENOUGH REQUESTS", "live", "check"]);
  if (own(OUTCOMES, report.outcome)) return named(OUTCOMES[report.outcome]);
  if (report.outcome) return named([String(report.outcome).toUpperCase(), "warn", "question"]);
  if (!item.live) return named(["NOT WATCHED ANY MORE", "warn", "question"]);
  if (item.kind === "shadow_test") return named([(report.status ?? "running").toUpperCase(), "live", "live"]);
  if (isRollingBack(report)) return named(["ROLLING BACK", "warn", "back"]);
  if (report.abort_switch_thrown_at) return named(["STOPPING", "warn", "stop"]);
  const stage = lastStage(report)?.stage ?? "in flight";
  return named([own(STAGES, stage) ? STAGES[stage] : stage.toUpperCase(), "live", "live"]);
}

/** SageMaker says so, it removes the new instances (the old ones after a success), or one look saw the end. */
export function isRollingBack(report) {
  if (report.outcome) return false;
  const { endpoint_status: status, serving_endpoint_config_name: serving } = report;
  const last = lastStage(report);
  const removesNew = last?.stage === "Deleting" && last.instances === 0;
  // Only a second look makes it the outcome.
  const isBack = status === "InService" && last && serving === report.previous_endpoint_config_name;
  return status === "RollingBack" || removesNew || isBack || report.summary?.startsWith("ROLLING BACK: ");
}

function judged(label) {
  const status = labelOf(label);
  return { ...status, words: { Pass: "PASSED", Fail: "REJECTED" }[label] ?? status.words };
}

/** The status of a verdict or of one rule. */
export function labelOf(label) {
  return named(own(LABELS, label) ? LABELS[label] : ["NO VERDICT YET", "neutral", "question"]);
}

function named([words, tone, name]) {
  return { words, tone, icon: name };
}

function own(table, key) {
  return Object.hasOwn(table, key);
}

/** A status as icon and words. */
export function badge(status, name = "span") {
  return h(name, { class: `badge ${status.tone}` }, icon(status.icon), h("b", null, status.words));
}

/** The last stage that was seen; null if none was. */
export function lastStage(report) {
  if (report.stages) return report.stages.filter((stage) => stage.seen !== false).at(-1) ?? null;
  // The list leaves the stages out, but its summary begins with the last one: "BAKING 1 of 4 instances: ...".
  const [, name, ready, desired] = /^([A-Z]+)(?: (\d+) of (\d+) instances)?:/.exec(report.summary) ?? [];
  const stage = Object.keys(STAGES).find((known) => known.toUpperCase() === name);
  return stage ? { stage, instances: Number(ready ?? NaN), desired_instances: desired } : null;
}

/** "2,263"; "?" for what is unknown. */
export function count(value) {
  return isNumber(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : "?";
}

/** At most four digits: "2.5", "0.0312", "1,234". */
export function number(value) {
  if (!isNumber(value)) return "?";
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 }).replace("-", "−");
}

/** "25 %"; "? %" for what is unknown. */
export function percent(value) {
  return `${isNumber(value) ? number(Math.round(value * 10) / 10) : "?"}\u00a0%`;
}

const SUFFIX_BY_UNIT = { relative: "\u00a0%", rate: "\u00a0points", plain: "" };

/** A difference in the unit of its rule, with its sign: "+18.2 %", "−0.4 points", "+12". */
export function difference(value, reason) {
  return isNumber(value) ? `${signed(value, reason)}${unitOf(reason)}` : "?";
}

/** "+12.9 … +23.4 %"; an end that is not known is infinite. */
export function range({ low, high, ...reason }) {
  // A metric that cannot be negative can never be lower by more than 100 %.
  const isOpen = !isNumber(low) || ((reason.unit ?? "relative") === "relative" && low <= -1);
  if (isOpen && !isNumber(high)) return reason.label === "Inconclusive" ? "no interval yet" : "";
  return `${isNumber(low) ? signed(low, reason) : "−∞"} … ${isNumber(high) ? signed(high, reason) : "+∞"}${unitOf(reason)}`;
}

function signed(value, reason) {
  const scaled = unitOf(reason) ? value * 100 : value;
  const digits = Math.abs(scaled) < 1 ? 2 : 3;
  return `${scaled > 0 && reason.stat !== "Share" ? "+" : ""}${number(Number(scaled.toPrecision(digits)))}`;
}

function unitOf(reason) {
  // Reports of older releases have no unit.
  return SUFFIX_BY_UNIT[reason.unit] ?? SUFFIX_BY_UNIT.relative;
}

export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

export function plural(amount, noun) {
  return `${count(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}

/** A summary without the status that it begins with, for where the status stands beside it. */
export function withoutStatus(summary, { words }) {
  return summary?.startsWith(`${words}: `) ? summary.slice(words.length + 2) : (summary ?? "");
}

/** What *view* builds; a notice if the report has values of other types than ours, as a foreign XCom may. */
export function readable(item, view) {
  try {
    return view();
  } catch (error) {
    console.error(error);
    return h(
      "p",
      { class: "notice warn" },
      icon("warning"),
      `The report of ${item.dag_id} · ${item.task_id} cannot be shown: ${error.message}`,
    );
  }
}
