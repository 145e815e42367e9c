// The alarms of an update, and why it was stopped.

import { consoleLink, h } from "./dom.js";
import { time } from "./time.js";
import { icon, isNumber, number } from "./words.js";

const STATES = {
  OK: ["ok", "good", "check"],
  ALARM: ["ALARM", "bad", "warning"],
  INSUFFICIENT_DATA: ["no data", "neutral", "question"],
};

/** All alarms with value and threshold; the abort switch is apart. */
export function alarmSection(report) {
  const alarms = report.alarms ?? [];
  const guards = alarms.filter(({ kind }) => kind !== "switch").sort((one, other) => rank(one) - rank(other));
  return h(
    "section",
    { "data-key": "alarms", "aria-label": "Alarms" },
    h(
      "header",
      null,
      h("h3", null, "Alarms"),
      report.alarms_as_of && h("span", { class: "muted" }, "as of ", time(report.alarms_as_of)),
    ),
    !report.guarded && unguarded(report),
    guards.length > 0 &&
      h(
        "ul",
        { class: "alarms" },
        guards.map((alarm) => line(alarm, report)),
      ),
    !guards.length && report.guarded && h("p", { class: "muted" }, "No alarm but the abort switch."),
    abortSwitch(report, alarms),
  );
}

function unguarded(report) {
  const why = report.unguarded_because ?? "the reason is unknown";
  return h(
    "p",
    { class: "notice warn" },
    icon("warning"),
    h("span", null, h("b", null, "Not guarded: "), why),
  );
}

function line(alarm, report) {
  const state = stateOf(alarm);
  const transition = (report.cause?.alarms ?? []).find(({ name }) => name === alarm.name);
  return h(
    "li",
    { class: state.tone },
    icon(state.icon),
    h("b", { class: "state" }, state.words),
    consoleLink(report.links?.alarms?.[alarm.name], nameOf(alarm), { class: "name" }),
    h("span", { class: "value" }, comparisonInWords(alarm)),
    h(
      "span",
      { class: "muted" },
      [alarm.watches, alarm.kind === "guard" && "made for this rollout"].filter(Boolean).join(" · "),
      alarm.state === "ALARM" && alarm.since && [" · since ", time(alarm.since)],
    ),
    transition &&
      alarm.state !== "ALARM" &&
      h("b", { class: "fired" }, `went off${crossed(transition, report)} at `, time(transition.at)),
  );
}

function abortSwitch(report, alarms) {
  if (!report.abort_switch) return h("p", { class: "switch muted" }, "Abort switch: none");
  const alarm = alarms.find(({ kind }) => kind === "switch") ?? { name: report.abort_switch, state: null };
  const thrown = report.abort_switch_thrown_at;
  return h(
    "p",
    { class: thrown ? "switch thrown" : "switch" },
    icon(thrown ? "warning" : "stop"),
    h("b", null, "Abort switch: "),
    thrown
      ? ["thrown at ", time(thrown, { zone: true })]
      : alarm.state === "ALARM"
        ? "in ALARM"
        : "not thrown",
    " ",
    consoleLink(report.links?.alarms?.[alarm.name], alarm.name, { class: "name muted" }),
  );
}

/** "alarm churn-errors: 2.5 > 1" of each that is in ALARM now, but the abort switch. */
export function alarmsInWords(report) {
  const firing = (report.alarms ?? []).filter(({ state, kind }) => state === "ALARM" && kind !== "switch");
  return firing.map((alarm) => `${named(alarm)}: ${comparisonInWords(alarm)}`);
}

/** Why the rollout ended: { text, at, details }, the alarm's value against its threshold first; null if unknown. */
export function causeOf(report) {
  const { cause } = report;
  if (!cause) return null;
  const first = cause.alarms?.[0];
  if (cause.kind === "alarm" && first) {
    return {
      text: `${named((report.alarms ?? []).find(({ name }) => name === first.name) ?? first)}${crossed(first, report)}`,
      at: first.at,
      details: cause.alarms.map(({ reason }) => reason),
    };
  }
  if (cause.kind === "judge") {
    const [reason, ...others] = cause.reasons ?? [];
    return {
      text: `judge: ${reason ?? "the new model is worse"}`,
      at: report.analysis?.first_fail_at,
      details: others,
    };
  }
  const texts = {
    abort: "aborted: somebody threw the abort switch",
    timeout: "aborted after max_wait",
    health_check: "the new containers did not pass the health check",
    capacity: "AWS had no capacity for the new instances",
  };
  return {
    text: Object.hasOwn(texts, cause.kind) ? texts[cause.kind] : "cause unknown",
    at: first?.at,
    details: cause.reasons ?? [],
  };
}

// As CloudWatch writes it: "... [2.5 (30/11/26 18:02:00)] was greater than the threshold (1.0)".
const CROSSED =
  /\[([-+0-9.eE]+) \([^)]*\).*?\b(?:was|were) (greater|less) than (or equal to )?the threshold \(([-+0-9.eE]+)\)/;

/** ": 2.5 > 1", of the moment when the alarm went off where its reason tells it. */
function crossed(transition, report) {
  const alarm = (report.alarms ?? []).find(({ name }) => name === transition.name);
  const found = CROSSED.exec(transition.reason ?? "");
  if (found) {
    const sign = `${found[2] === "greater" ? ">" : "<"}${found[3] ? "=" : ""}`;
    return `: ${inUnit(Number(found[1]), alarm)} ${sign} ${inUnit(Number(found[4]), alarm)}`;
  }
  return alarm && isNumber(alarm.value) ? `: ${comparisonInWords(alarm)}` : "";
}

/** "2.5 > 1" in alarm, "alarm at > 1" else: CloudWatch tells the value of the last change of state only. */
function comparisonInWords(alarm) {
  const { state, value, comparison, threshold } = alarm;
  const limit = isNumber(threshold) ? `${comparison ?? ">"} ${inUnit(threshold, alarm)}` : "";
  if (state === "ALARM" && isNumber(value) && limit) return `${inUnit(value, alarm)} ${limit}`;
  return limit && `alarm at ${limit}`;
}

/** What a guard watches in words; of another alarm its name. */
function nameOf({ title, name }) {
  return title ?? name;
}

function named(alarm) {
  return alarm.title ? `guard ${alarm.title}` : `alarm ${alarm.name}`;
}

/** SageMaker's latencies are in microseconds, and its error rates shares of 1. */
function inUnit(value, alarm) {
  if (alarm?.unit === "%") return `${number(value * 100)}\u00a0%`;
  // A report of an older release has no unit.
  const isLatency = alarm?.unit === "ms" || /^AWS\/SageMaker \w+Latency /.test(alarm?.watches ?? "");
  return isLatency ? `${number(value / 1000)}\u00a0ms` : number(value);
}

function stateOf({ state }) {
  const [words, tone, name] = Object.hasOwn(STATES, state)
    ? STATES[state]
    : ["not seen", "neutral", "question"];
  return { words, tone, icon: name };
}

function rank({ state }) {
  return { ALARM: 0, INSUFFICIENT_DATA: 1 }[state] ?? 2;
}
