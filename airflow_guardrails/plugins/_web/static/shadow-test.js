// The page of one shadow test: both variants, the requests so far, the verdict, answers that differ.

import { h } from "./dom.js";
import { headline } from "./headline.js";
import { historySection } from "./history.js";
import { tiles } from "./judge.js";
import { links } from "./rollout.js";
import { duration, time } from "./time.js";
import { badge, count, icon, isNumber, labelOf, percent, plural, statusOf } from "./words.js";

export function shadowTestView({ item, history }, page) {
  const { report } = item;
  return h(
    "article",
    { class: `rollout ${statusOf(item).tone}`, "data-key": "shadow_test" },
    headline(item, page),
    item.verdict && h("p", null, h("b", null, verdictInWords(item))),
    schedule(item, page.clock),
    h(
      "div",
      { class: "columns even" },
      variantSection("Production", report.production, report),
      variantSection("Shadow", report.shadow, report),
    ),
    verdictSection(item),
    warnings(report),
    historySection(item, history, page),
    links(item, page),
  );
}

function schedule(item, clock) {
  const { report } = item;
  const left = item.live ? clock.until(item, report.ends_at) : null;
  const facts = [
    [
      "Mirrored",
      isNumber(report.sampling_percentage) && `${percent(report.sampling_percentage)} of the requests`,
    ],
    ["Requests so far", requestsInWords(report), "of the variant with fewer"],
    ["Starts", report.starts_at && time(report.starts_at, { zone: true })],
    ["Ends", report.ends_at && time(report.ends_at, { zone: true }), left > 0 && `in ${duration(left)}`],
    ["Endpoint", report.endpoint_failure_reason && report.endpoint_name, report.endpoint_failure_reason],
    ["Waits until", item.live && report.deadline && time(report.deadline, { zone: true })],
    ["Where", report.region, report.account],
  ].filter(([, value]) => value);
  return h(
    "dl",
    { class: "facts" },
    facts.map(([term, value, more]) =>
      h(
        "div",
        null,
        h("dt", null, term),
        h("dd", null, h("b", null, value), more && h("span", { class: "muted" }, more)),
      ),
    ),
  );
}

/** "737 of 1,000", of the variant with the fewest; null if the test needs no number. */
export function requestsInWords({ requests, min_requests: needed }) {
  const counts = Object.values(requests ?? {}).filter(isNumber);
  const fewest = counts.length ? count(Math.min(...counts)) : "unknown";
  if (!isNumber(needed) || needed <= 0) return counts.length ? fewest : null;
  return `${fewest} of ${count(needed)}`;
}

/** Why the judge rejected the new model, or how far the test has got. */
export function verdictInWords({ report, verdict }) {
  const reasons = verdict?.reasons ?? [];
  const decisive = reasons.find(({ label }) => label === "Fail") ?? reasons.find(({ label }) => label === verdict.label);
  const [why] = (decisive?.text ?? "").split(" (interval");
  if (verdict?.label === "Pass") return `judge: ${plural(reasons.length, "rule")} passed`;
  if (verdict) return `judge: ${why || verdict.label}`;
  // What stands before the colon is the status, which stands beside it.
  return (report.summary ?? "").replace(/^[A-Z ]+: /, "");
}

function variantSection(title, variant, report) {
  const name = variant?.variant_name;
  const requests = Object.hasOwn(report.requests ?? {}, name) ? report.requests[name] : null;
  const isShort = isNumber(requests) && requests < report.min_requests;
  return h(
    "section",
    { "data-key": title, "aria-label": title },
    h(
      "header",
      null,
      h("h3", null, title),
      h(
        "span",
        { class: "muted" },
        title === "Shadow" ? "its answers are not returned to callers" : "answers the callers",
      ),
    ),
    variant
      ? h(
          "dl",
          { class: "about" },
          [
            ["Model", variant.model_name],
            ["Variant", name],
            ["Instances", [count(variant.instances), " × ", variant.instance_type ?? "unknown type"]],
            ["Status", variant.status ?? "unknown"],
            [
              "Requests",
              [
                isShort && icon("clock"),
                isNumber(requests) ? count(requests) : "unknown",
                report.min_requests > 0 && ` of at least ${count(report.min_requests)}`,
              ],
            ],
          ].map(([term, value]) => [h("dt", null, term), h("dd", null, value)]),
        )
      : h("p", { class: "muted" }, "Not known."),
  );
}

function verdictSection({ verdict }) {
  return h(
    "section",
    { class: "judge", "data-key": "judge", "aria-label": "Judge" },
    h("header", null, h("h3", null, "Judge"), badge(labelOf(verdict?.label))),
    verdict
      ? [tiles(verdict.reasons ?? []), answers(verdict.answers)]
      : h("p", { class: "muted" }, "The judge of this run has not published a verdict."),
  );
}

/** How many answers of both variants differ; the answers themselves may be confidential and are not shown. */
function answers(compared) {
  if (!compared || !isNumber(compared.pairs)) return null;
  const kinds = Object.entries(compared.disagreements_by_kind ?? {}).filter(([, times]) => times > 0);
  const rate = isNumber(compared.disagreement_rate) ? ` (${percent(compared.disagreement_rate * 100)})` : "";
  return h(
    "p",
    { class: "answers" },
    h("b", null, "Answers that differ: "),
    `${count(compared.disagreements)} of ${plural(compared.pairs, "compared request")}${rate}`,
    kinds.length > 0 &&
      h(
        "span",
        { class: "muted" },
        ` ${kinds.map(([kind, times]) => `${kind.replaceAll("_", " ")}: ${count(times)}`).join(", ")}`,
      ),
  );
}

function warnings({ warnings: texts, reason, outcome }) {
  // The reason of a test that ended as it should is the text with which this package stopped it.
  const isAsked = outcome === "Reached";
  const all = [...(reason && !isAsked ? [`SageMaker says: ${reason}`] : []), ...(texts ?? [])];
  if (!all.length) return null;
  return h(
    "section",
    { "data-key": "warnings", "aria-label": "Warnings" },
    h("header", null, h("h3", null, "Warnings")),
    h(
      "ul",
      { class: "plain" },
      all.map((text) => h("li", { class: "warn" }, icon("warning"), text)),
    ),
  );
}
