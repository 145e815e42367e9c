// The first lines of a rollout: status, cause, traffic, next step, configurations.

import { alarmsInWords, causeOf } from "./alarms.js";
import { h } from "./dom.js";
import { rollBackControl, rollBackNotice } from "./roll-back.js";
import { stopControl, stopNotice } from "./stop.js";
import { duration, inWords, time } from "./time.js";
import { currentStep } from "./traffic.js";
import { badge, icon, isNumber, isRollingBack, lastStage, percent, statusOf } from "./words.js";

/**
 * Status and name, cause, and the button that stops it or rolls back.
 *
 * @param answer history and rollback, as the API gives them with one rollout; none in a list
 */
export function headline(item, page, { link: isLink = false, answer = {} } = {}) {
  const { report } = item;
  const name = item.kind === "shadow_test" ? report.name : report.endpoint_name;
  return h(
    "header",
    { class: "headline" },
    h(
      "div",
      { class: "title" },
      badge(statusOf(item, { isStopRequested: page.stops.isWaiting([item]) })),
      h("h2", null, isLink ? page.open(item, name) : name),
      item.kind === "shadow_test" && h("span", { class: "muted" }, `shadow test of ${report.endpoint_name}`),
      seen(item, page.clock),
      stopControl(item, page) ?? rollBackControl(item, answer, page),
    ),
    cause(item),
    stopNotice(item, page) ?? rollBackNotice(item, answer, page),
  );
}

function seen(item, clock) {
  const age = clock.age(item);
  if (!item.live)
    return item.report.ended_at
      ? h("span", { class: "muted" }, "ended ", time(item.report.ended_at, { zone: true }))
      : null;
  if (age === null) return null;
  if (clock.isStale(item))
    return h("span", { class: "stale" }, icon("warning"), `stale: last seen ${duration(age)} ago`);
  return h("span", { class: "muted" }, `seen ${duration(age)} ago`);
}

function cause(item) {
  const { report } = item;
  const found = causeOf(report);
  const details = (found?.details ?? []).filter(Boolean);
  const hint = hintOf(report);
  const firing = report.outcome ? [] : alarmsInWords(report);
  if (!found && !report.failure_reason && !hint && !firing.length) return null;
  return h(
    "div",
    { class: "cause" },
    firing.map((text) =>
      h(
        "p",
        { class: "bad" },
        icon("warning"),
        h("b", null, text),
        ": SageMaker rolls back when an alarm is in ALARM during a bake",
      ),
    ),
    found && h("p", null, h("b", null, found.text), found.at && [" at ", time(found.at, { zone: true })]),
    report.failure_reason && h("p", null, `SageMaker says: ${report.failure_reason}`),
    hint && h("p", null, hint),
    details.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, "Reasons in full"),
        details.map((text) => h("p", { class: "muted said" }, text)),
      ),
  );
}

function hintOf({ outcome, endpoint_config_name: target }) {
  return {
    RollbackFailed:
      "A mix of both models serves. To repair it, update the endpoint again, with the configuration that should serve.",
    TimedOut:
      "The task does not wait any more. The update itself is left as it is; clear the task to go on watching it.",
    Superseded: "Another update replaced this one.",
    NotStarted: `No update to ${target} was seen.`,
  }[outcome];
}

/** The facts as a row of terms: traffic, step, what comes next, configurations, instances, place. */
export function facts(item, clock) {
  const { report } = item;
  return h(
    "dl",
    { class: "facts" },
    fact("Traffic on new model", traffic(report), planned(report)),
    fact(report.outcome ? "Step reached" : "Step", ...step(report)),
    fact(item.live ? "Next" : null, ...next(item, clock)),
    fact("New instances ready", ...instances(report)),
    fact("Configuration", ...configurations(item)),
  );
}

function fact(term, value, more) {
  if (!term || !value) return null;
  return h(
    "div",
    null,
    h("dt", null, term),
    h("dd", null, h("b", null, value), more && h("span", { class: "muted" }, more)),
  );
}

function traffic(report) {
  if (isNumber(report.traffic?.percent)) return percent(report.traffic.percent);
  return report.outcome === "RollbackFailed" ? "unknown: mixed" : "unknown";
}

function planned(report) {
  const step = report.strategy?.steps?.[currentStep(report) - 1];
  return !report.outcome && step && isNumber(step.percent) && `planned ${percent(step.percent)}`;
}

function step(report) {
  const steps = report.strategy?.steps ?? [];
  if (!steps.length) return [];
  const reached = currentStep(report);
  // A canary of minutes fits between two looks.
  if (report.outcome === "RolledBack" && !reached && !report.stages_complete) return ["not seen", report.strategy.name];
  return [`${reached} of ${steps.length}`, report.strategy.name];
}

/** What comes next and when; the text is short, because it counts down. */
export function next(item, clock) {
  const { report } = item;
  if (!item.live || !report.next_change_at) return [];
  const upcoming = report.strategy?.steps?.[currentStep(report)];
  const what = upcoming ? percent(upcoming.percent) : "end of the last bake";
  const remaining = clock.until(item, report.next_change_at);
  if (remaining === null) return [what];
  const when = remaining >= 0 ? `in ${duration(remaining)}` : `due ${duration(remaining)} ago`;
  return [`${what} ${when}`, ["at ", time(report.next_change_at, { zone: true })]];
}

function configurations({ live, report }) {
  const {
    endpoint_config_name: target,
    previous_endpoint_config_name: old,
    serving_endpoint_config_name: serving,
  } = report;
  const change = `${old ?? "unknown"} → ${target}`;
  if (report.outcome === "RollbackFailed") return [change, "serves now: a mix of both"];
  const when = live || report.outcome ? "now" : "when last seen";
  if (isRollingBack(report)) return [change, `serves ${when}: ${old ?? serving ?? "unknown"}`];
  if (!report.outcome && report.traffic?.percent > 0 && report.traffic.percent < 100)
    return [change, `serve ${when}: both`];
  if (!report.outcome && report.traffic?.percent >= 100) return [change, `serves ${when}: ${target}`];
  return [change, `serves ${when}: ${serving ?? "unknown"}`];
}

function instances(report) {
  const stage = lastStage(report);
  // After a rollback none is left, whatever was ready before.
  if (report.outcome === "RolledBack") return [];
  return stage && isNumber(stage.instances) && stage.desired_instances !== 0
    ? [`${stage.instances} of ${stage.desired_instances ?? "?"}`]
    : [];
}

/** For screen readers: the status without what counts down, so that it is read out when it changes only. */
export function announcement(item) {
  const { report } = item;
  const found = causeOf(report);
  const name = item.kind === "shadow_test" ? report.name : report.endpoint_name;
  const share =
    item.kind === "rollout" && !report.outcome && isNumber(report.traffic?.percent)
      ? `, ${percent(report.traffic.percent)} on the new model`
      : "";
  const thrown = report.abort_switch_thrown_at
    ? `, abort switch thrown at ${inWords(new Date(report.abort_switch_thrown_at))}`
    : "";
  return `${name}: ${statusOf(item).words.toLowerCase()}${share}${found ? `, ${found.text}` : ""}${thrown}`;
}
