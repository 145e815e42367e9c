// Share of traffic on the new model over time: planned (dashed) and actual, as a staircase.

import { h, hiddenTable, svg } from "./dom.js";
import { duration, inWords } from "./time.js";
import { isNumber, percent } from "./words.js";

const HEIGHT = 132;
const TOP = 14;
const FLOOR = 108;
const MINUTE = 60_000;

/** The section with the chart; a sentence where both strategy and traffic are unknown. */
export function trafficSection(item, clock) {
  const title = h("header", null, h("h3", null, "Traffic on the new model"));
  return h("section", { "data-key": "traffic", "aria-label": "Traffic" }, title, chart(item, clock));
}

function chart(item, clock) {
  const { report } = item;
  if (isShiftUnseen(report))
    return h("p", { class: "muted" }, "No look saw a shift of traffic. It may have come and gone between two looks.");
  const now = item.live ? clock.aws(item) : null;
  // Of a rollout that nobody watches any more, the last look is the last that is known.
  const last = now ?? timesOf(report.ended_at)[0] ?? timesOf(report.as_of)[0];
  const actual = actualCourse(report, last);
  const planned = plannedCourse(report, last);
  const times = [...actual, ...planned].map((point) => point.at);
  if (!times.length) return h("p", { class: "muted" }, "The course of the traffic is not known.");
  const start = Math.min(...times, ...timesOf(report.started_at));
  const end = Math.max(...times, last ?? 0, start + MINUTE);
  const x = (at) => `${(((at - start) / (end - start)) * 100).toFixed(2)}%`;
  return h(
    "figure",
    { class: "chart" },
    h(
      "div",
      { class: "scale", "aria-hidden": "true" },
      ["100 %", "50 %", "0 %"].map((text) => h("span", null, text)),
    ),
    svg(
      "svg",
      { role: "img", "aria-label": inSentence(item, clock), height: HEIGHT, width: "100%" },
      [100, 50, 0].map((share) => line("grid", "0%", "100%", y(share), y(share))),
      staircase(planned, x, "planned"),
      staircase(actual, x, "actual"),
      axis(item, start, end, x),
      mark(last, item.live ? "now" : report.outcome ? "end" : "last look", start, end, x),
      item.live && nextMark(report, start, end, x),
    ),
    h(
      "figcaption",
      null,
      h("span", { class: "key actual" }, "actual"),
      planned.length > 0 && h("span", { class: "key planned" }, "planned"),
      report.strategy?.description && h("span", { class: "muted" }, report.strategy.description),
    ),
    hiddenTable(
      "Traffic on the new model",
      ["Time", "Share", "Kind"],
      [
        ...actual.map((point) => [...row(point), "actual"]),
        ...planned.map((point) => [...row(point), "planned"]),
      ],
    ),
  );
}

/** A rolled-back update whose looks saw its beginning and its end, and no traffic in between. */
function isShiftUnseen({ outcome, stages_complete: isComplete, traffic }) {
  const course = traffic?.course ?? [];
  return outcome === "RolledBack" && !isComplete && course.length > 0 && !course.some(({ percent: share }) => share > 0);
}

/** What the stages tell, up to *last*: [{at, share}]. */
function actualCourse(report, last) {
  const course = (report.traffic?.course ?? [])
    .map(({ at, percent: share }) => ({ at: Date.parse(at), share }))
    .filter(({ at, share }) => isNumber(at) && isNumber(share));
  if (!course.length) return [];
  const [started] = timesOf(report.started_at);
  if (started < course[0].at && course[0].share > 0) course.unshift({ at: started, share: 0 });
  if (report.outcome === "RolledBack" && last) course.push({ at: last, share: 0 });
  // A mixed fleet serves an unknown share, so the course ends where it was last known.
  else if (report.outcome !== "RollbackFailed" && last) course.push({ at: last, share: course.at(-1).share });
  return course;
}

/** The strategy's steps from the first shift on; those to come count from the schedule's next change. */
function plannedCourse(report, last) {
  const steps = (report.strategy?.steps ?? []).filter(
    (step) => isNumber(step.minute) && isNumber(step.percent),
  );
  if (!steps.length) return [];
  const current = currentStep(report);
  const shifted = (report.traffic?.course ?? []).find((point) => point.percent > 0);
  // An update that ended before a shift was seen has no time from which the steps count.
  if (report.outcome && !shifted) return [];
  const first = timesOf(shifted?.at)[0] ?? last ?? timesOf(report.started_at)[0];
  if (first === undefined) return [];
  const [next] = timesOf(report.next_change_at);
  const upcoming = steps[current];
  const late = next !== undefined && upcoming && current > 0 ? next - (first + upcoming.minute * MINUTE) : 0;
  const points = steps.map((step, index) => ({
    at: first + step.minute * MINUTE + (index >= current ? late : 0),
    share: step.percent,
  }));
  const final = points.at(-1);
  const end = final.at + (steps.at(-1).bake_minutes || 0) * MINUTE;
  return [{ at: first, share: 0 }, ...points, { at: end, share: final.share }];
}

/** How many of the strategy's steps have been made, by the share of traffic: now, or the largest if it has ended. */
export function currentStep(report) {
  const shares = (report.traffic?.course ?? []).map((point) => point.percent);
  const share = report.outcome ? Math.max(0, ...shares.filter(isNumber)) : report.traffic?.percent;
  const steps = report.strategy?.steps ?? [];
  if (!isNumber(share)) return 0;
  // Fleets of few instances miss the planned share by a little.
  return steps.filter((step) => isNumber(step.percent) && step.percent <= share + 1 && share > 0).length;
}

function staircase(points, x, kind) {
  return points.slice(1).map((point, index) => {
    const before = points[index];
    return [
      line(kind, x(before.at), x(point.at), y(before.share), y(before.share)),
      before.share !== point.share && line(kind, x(point.at), x(point.at), y(before.share), y(point.share)),
    ];
  });
}

function mark(at, text, start, end, x) {
  if (!at) return null;
  return [
    line("now", x(at), x(at), TOP - 4, FLOOR),
    label(text, at, (at - start) / (end - start), 9, x, "now"),
  ];
}

function nextMark(report, start, end, x) {
  const [next] = timesOf(report.next_change_at);
  if (next === undefined || next > end) return null;
  const upcoming = report.strategy?.steps?.[currentStep(report)];
  const text = upcoming
    ? `${percent(upcoming.percent)} at ${inWords(new Date(next))}`
    : `end at ${inWords(new Date(next))}`;
  const share = (next - start) / (end - start);
  return [
    line("next", x(next), x(next), FLOOR, FLOOR + 5),
    label(text, next, share, HEIGHT - 2, x, "nexttext"),
  ];
}

function axis({ live, report }, start, end, x) {
  // The label of the next change takes precedence over the ends of the axis next to it.
  const [next] = live ? timesOf(report.next_change_at) : [];
  const share = (next - start) / (end - start);
  return [
    !(share < 0.4) && label(inWords(new Date(start)), start, 0, HEIGHT - 2, x, "tick"),
    !(share > 0.5 && share <= 1) &&
      label(inWords(new Date(end), { zone: true }), end, 1, HEIGHT - 2, x, "tick"),
  ];
}

function label(text, at, share, top, x, kind) {
  const anchor = share < 0.15 ? "start" : share > 0.85 ? "end" : "middle";
  return svg("text", { x: x(at), y: top, "text-anchor": anchor, class: kind }, text);
}

function line(kind, x1, x2, y1, y2) {
  return svg("line", { class: kind, x1, x2, y1, y2 });
}

function y(share) {
  return FLOOR - ((FLOOR - TOP) * Math.min(100, Math.max(0, share))) / 100;
}

function row({ at, share }) {
  return [inWords(new Date(at), { zone: true }), percent(share)];
}

function timesOf(iso) {
  const at = Date.parse(iso ?? "");
  return Number.isNaN(at) ? [] : [at];
}

function inSentence(item, clock) {
  const { report } = item;
  const share = `Traffic on the new model: ${percent(report.traffic?.percent)} ${item.live ? "now" : "at the end"}`;
  const left = item.live ? clock.until(item, report.next_change_at) : null;
  return left > 0 ? `${share}; next change in ${duration(left)}` : share;
}
