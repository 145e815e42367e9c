// What the judge compared: a tile for each rule, and the course of its verdicts.

import { h, hiddenTable, svg } from "./dom.js";
import { inWords, time } from "./time.js";
import { badge, count, difference, icon, isNumber, labelOf, plural, range } from "./words.js";

const WORST_FIRST = ["Fail", "Inconclusive", "Pass"];

/** The section of the analysis of a rollout; *brief* leaves out the course. */
export function judgeSection(report, { brief = false } = {}) {
  const { analysis } = report;
  if (!analysis) {
    return h(
      "section",
      { class: "judge", "data-key": "judge", "aria-label": "Judge" },
      h(
        "header",
        null,
        h("h3", null, "Judge"),
        h("span", { class: "muted" }, "none: this update has no analysis"),
      ),
    );
  }
  const status = labelOf(analysis.label);
  return h(
    "section",
    { class: "judge", "data-key": "judge", "aria-label": "Judge" },
    h(
      "header",
      null,
      h("h3", null, "Judge"),
      badge(status),
      sample(analysis),
      h("span", { class: "muted" }, facts(analysis)),
      turns(analysis).map((turn) => h("span", { class: "muted" }, turn)),
    ),
    analysis.unanswered &&
      h("p", { class: "notice warn" }, `The last look had no answer: ${analysis.unanswered}`),
    tiles(analysis.reasons ?? [], brief ? [] : (analysis.history ?? [])),
    !brief && overall(analysis.history ?? []),
  );
}

/** Tiles of the rules, the worst first. Reasons without numbers become lines of text below. */
export function tiles(reasons, history = []) {
  const rules = reasons
    .map((reason, index) => ({ reason, looks: history.map(({ at, rules }) => ({ at, ...rules?.[index] })) }))
    .sort((one, other) => rank(one.reason) - rank(other.reason));
  const measured = rules.filter(({ reason }) => isMeasured(reason));
  const told = rules.filter(({ reason }) => !isMeasured(reason));
  return [
    measured.length > 0 &&
      h(
        "div",
        { class: "tiles" },
        measured.map(({ reason, looks }) => tile(reason, looks)),
      ),
    measured.length > 0 &&
      h(
        "p",
        { class: "muted legend" },
        "Point: measured difference. Bar: its confidence interval. Shaded: beyond the limit.",
      ),
    told.length > 0 &&
      h(
        "ul",
        { class: "plain" },
        told.map(({ reason }) =>
          h("li", { class: labelOf(reason.label).tone }, icon(labelOf(reason.label).icon), toldText(reason)),
        ),
      ),
  ];
}

function tile(reason, looks) {
  const status = reason.ignored
    ? { words: "NO DATA, IGNORED", tone: "neutral", icon: "dash" }
    : labelOf(reason.label);
  const noData = !isNumber(reason.measured);
  return h(
    "article",
    { class: `tile ${status.tone}`, title: reason.text },
    h(
      "header",
      null,
      h("h4", null, `${reason.metric} ${reason.stat}`),
      badge(noData && !reason.ignored ? { ...status, words: `${status.words}, NO DATA` } : status),
    ),
    interval(reason),
    h(
      "p",
      { class: "numbers" },
      h("b", null, noData ? "no data" : difference(reason.measured, reason)),
      range(reason) && h("span", null, range(reason)),
      h("span", null, `limit ${difference(reason.limit, reason)}`),
    ),
    looks.length > 1 && course(reason, looks),
    reason.missing && h("p", { class: "muted" }, `Missing: ${reason.missing}`),
  );
}

/** The interval, the measured value and the limit on one axis; beyond the limit is shaded. */
function interval(reason) {
  const ends = [reason.low, reason.high, reason.measured, reason.limit, 0].filter(isNumber);
  // An interval that is very wide must not press the limit to the zero line.
  const reach = Math.max(Math.abs(reason.limit ?? 0) * 8, 1e-9);
  const clamp = (value) => (reason.limit ? Math.min(reach, Math.max(-reach, value)) : value);
  const [least, most] = [Math.min(...ends.map(clamp)), Math.max(...ends.map(clamp))];
  const room = (most - least || 1) * 0.12;
  const x = (value) => ((clamp(value) - least + room) / (most - least + 2 * room)) * 100;
  const at = (share) => `${share.toFixed(2)}%`;
  const low = isNumber(reason.low) && clamp(reason.low) === reason.low ? x(reason.low) : 0;
  const high = isNumber(reason.high) && clamp(reason.high) === reason.high ? x(reason.high) : 100;
  const limit = isNumber(reason.limit) ? x(reason.limit) : null;
  const isDecrease = reason.limit < 0;
  return svg(
    "svg",
    { class: "interval", role: "img", width: "100%", height: 30, "aria-label": reason.text ?? "interval" },
    limit !== null &&
      svg("rect", {
        class: "beyond",
        x: isDecrease ? 0 : at(limit),
        y: 2,
        height: 26,
        width: at(isDecrease ? limit : 100 - limit),
      }),
    svg("line", { class: "grid", x1: 0, x2: "100%", y1: 15, y2: 15 }),
    svg("line", { class: "zero", x1: at(x(0)), x2: at(x(0)), y1: 5, y2: 25 }),
    isNumber(reason.measured) &&
      (isNumber(reason.low) || isNumber(reason.high)) &&
      svg("rect", { class: "range", x: at(low), y: 10, height: 10, width: at(Math.max(0.5, high - low)) }),
    isNumber(reason.measured) &&
      svg("circle", { class: "measured", cx: at(x(reason.measured)), cy: 15, r: 4.5 }),
    limit !== null && svg("line", { class: "limit", x1: at(limit), x2: at(limit), y1: 0, y2: 30 }),
  );
}

/** The interval at each look so far; a cross where there was no data. */
function course(reason, looks) {
  const height = 26;
  const known = looks.flatMap((look) => [look.low, look.high, look.measured]).filter(isNumber);
  const ends = [...known, (reason.limit ?? 0) * 1.5, 0];
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  // The first intervals are so wide that the later ones would be dots beside them.
  const reach = Math.max(Math.abs(reason.limit ?? 0) * 2.5, 1e-9);
  const clamp = (value) => (reason.limit ? Math.min(reach, Math.max(-reach, value)) : value);
  const y = (value) =>
    2 + (height - 4) * (1 - (clamp(value) - clamp(least)) / (clamp(most) - clamp(least) || 1));
  const kinds = looks.map((look) => positionOf(look, reason));
  const words = [...new Set(kinds)].map((kind) => `${kinds.filter((one) => one === kind).length} ${kind}`);
  return h(
    "div",
    { class: "course" },
    svg(
      "svg",
      {
        role: "img",
        width: "100%",
        height,
        "aria-label": `${looks.length} looks so far: ${words.join(", ")}`,
      },
      isNumber(reason.limit) &&
        svg("line", { class: "limit", x1: 0, x2: "100%", y1: y(reason.limit), y2: y(reason.limit) }),
      looks.map((look, index) => {
        const x = `${(((index + 0.5) / looks.length) * 100).toFixed(2)}%`;
        if (kinds[index] === "no data")
          return svg("text", { class: "nodata", x, y: height - 4, "text-anchor": "middle" }, "×");
        const [low, high] = [look.low ?? least, look.high ?? most];
        return [
          svg("line", { class: `look ${kinds[index].split(" ")[0]}`, x1: x, x2: x, y1: y(high), y2: y(low) }),
          svg("circle", { class: "dot", cx: x, cy: y(look.measured), r: 1.5 }),
        ];
      }),
    ),
    h("p", { class: "muted" }, `Looks: ${words.join(", ")}`),
  );
}

/** On which side of the limit the difference is, as the judge has decided, or by the whole interval. */
function positionOf({ label, measured, low, high }, { limit }) {
  if (!isNumber(measured)) return "no data";
  if (label) return { Pass: "within limit", Fail: "beyond limit" }[label] ?? "undecided";
  if (!isNumber(limit)) return "undecided";
  const [worst, best] = limit < 0 ? [low, high] : [high, low];
  const isBeyond = (value) => isNumber(value) && (limit < 0 ? value < limit : value > limit);
  if (isBeyond(best)) return "beyond limit";
  return isNumber(worst) && !isBeyond(worst) ? "within limit" : "undecided";
}

/** The verdict at each look: one mark for each run of equal labels, so that it stays short. */
function overall(history) {
  const runs = [];
  for (const look of history) {
    if (runs.at(-1)?.label === look.label) runs.at(-1).looks.push(look);
    else runs.push({ label: look.label, looks: [look] });
  }
  if (!history.length) return null;
  return [
    h(
      "ol",
      { class: "runs", "aria-label": "Verdicts so far" },
      h("li", { class: "muted" }, "Verdicts so far:"),
      runs.map(({ label, looks }) => {
        const status = labelOf(label);
        const more = looks.length > 1 ? ` × ${looks.length}` : "";
        return h(
          "li",
          { class: status.tone },
          icon(status.icon),
          `${status.words.toLowerCase()}${more} from `,
          time(looks[0].at),
        );
      }),
    ),
    hiddenTable(
      "Verdict at each look",
      ["Time", "Verdict", "New requests", "Old requests"],
      history.map((look) => [
        inWords(new Date(look.at)),
        look.label ?? "none",
        count(look.requests?.new),
        count(look.requests?.old),
      ]),
    ),
  ];
}

function sample({ requests }) {
  if (!requests) return null;
  return h("span", { class: "sample" }, `${count(requests.new)} new / ${count(requests.old)} old requests`);
}

function facts(analysis) {
  return [
    isNumber(analysis.looks) && plural(analysis.looks, "look"),
    analysis.observe_only && "observes only: it does not stop the update",
    analysis.acted && "it has thrown the abort switch",
  ]
    .filter(Boolean)
    .join(" · ");
}

/** When the new fleet first passed, failed, or lost its share of the requests. */
function turns(analysis) {
  const seen = [
    ["first passed at ", analysis.passed_at],
    ["first failed at ", analysis.first_fail_at],
    ["lost its share of the requests at ", analysis.share_fell_at],
  ].filter(([, at]) => at);
  const stands = analysis.label === "Inconclusive" && /Pass stands/.test(analysis.course ?? "");
  return [...seen.map(([words, at]) => [words, time(at)]), ...(stands ? [["this pass stands"]] : [])];
}

function toldText(reason) {
  const missing = reason.missing ? ` Missing: ${reason.missing}` : "";
  return `${reason.text ?? `${reason.metric} ${reason.stat}`}${missing && `.${missing}`}`;
}

function isMeasured({ measured, limit }) {
  return isNumber(measured) || isNumber(limit);
}

function rank({ label, ignored }) {
  return ignored ? WORST_FIRST.length : WORST_FIRST.indexOf(label);
}
