// Stopping: the button, the dialog that asks first, and what came of it.

import { Refused, markFailed, taskUrl } from "./api.js";
import { confirm, notice } from "./dialog.js";
import { consoleLink, h, link } from "./dom.js";
import { duration, time } from "./time.js";
import { icon, isRollingBack } from "./words.js";

const PATIENCE = 30_000;

/** The stop requests of this page: by task instance, { at, state: "sending" | "sent" | "refused", text }. */
export class Stops {
  #requests = new Map();

  of(item) {
    return this.#requests.get(idOf(item)) ?? null;
  }

  set(item, request) {
    this.#requests.set(idOf(item), request);
  }

  /** Whether the end of one of the items is being waited for. */
  isWaiting(items) {
    return items.some((item) => !item.report.outcome && this.of(item)?.state === "sent");
  }
}

/** The button, or why there is none; nothing once the rollout has ended. */
export function stopControl(item, page) {
  if (item.report.outcome || page.stops.of(item)?.state === "sent") return null;
  if (!item.stop || isRollingBack(item.report)) return null;
  return h(
    "button",
    { type: "button", class: "danger", "aria-haspopup": "dialog", onclick: () => askToStop(item, page) },
    icon("stop"),
    "Stop…",
    h("span", { class: "hidden" }, ` ${nounOf(item)} ${nameOf(item)}`),
  );
}

/** What stopping would do, why it cannot be stopped, or what came of the request. */
export function stopNotice(item, page) {
  const { report } = item;
  if (report.outcome) return null;
  const request = page.stops.of(item);
  if (isRollingBack(report)) {
    const thrown = report.abort_switch_thrown_at;
    const why = thrown && ["the abort switch was thrown at ", time(thrown, { zone: true }), "; "];
    return notice("warn", "Rolling back: ", why, "SageMaker removes the new instances. The task ends soon after.");
  }
  if (report.abort_switch_thrown_at) {
    return notice(
      "warn",
      "Stopping: ",
      "the abort switch was thrown at ",
      time(report.abort_switch_thrown_at, { zone: true }),
      ". SageMaker rolls back when it next looks at the alarms, during a bake.",
    );
  }
  if (request?.state === "sending")
    return notice("info", "Stop: ", "asking Airflow to mark the task failed …");
  if (request?.state === "refused") return notice("bad", "Not stopped: ", request.text);
  if (request) {
    const waited = performance.now() - request.at;
    return waited < PATIENCE ? waiting(item, waited) : unanswered(item, page, waited);
  }
  if (!item.live) return abandoned(item, page);
  if (item.stop)
    return h(
      "p",
      { class: "stopping muted" },
      h("b", null, "To stop it: "),
      report.stopping?.text ?? "mark the task failed",
    );
  const why = report.stopping?.text ?? "No running task can abort it.";
  return h("p", { class: "stopping" }, icon("warning"), h("b", null, "Cannot be stopped here: "), why);
}

function waiting(item, waited) {
  return notice(
    "info",
    "Stop requested ",
    `${duration(waited)} ago. `,
    item.kind === "rollout" ? "Waiting for the abort to take effect." : "Waiting for the test to end.",
  );
}

function unanswered(item, page, waited) {
  const task = link(
    taskUrl(page.base, { ...item, ...item.stop, ...page.stops.of(item).task }),
    "the task's log",
  );
  return notice(
    "bad",
    "Nobody has answered the stop ",
    `for ${duration(waited)}. The task is marked failed, but `,
    item.kind === "rollout"
      ? "the abort switch is not thrown as far as this page knows."
      : "the test has not ended as far as this page knows.",
    h(
      "ul",
      null,
      h("li", null, "Look at ", task, ": it says what was done, or why nothing was done."),
      h(
        "li",
        null,
        item.concluding
          ? [
              "The task ",
              h("b", null, item.concluding.task_id),
              ` also aborts; it is ${item.concluding.state ?? "not started"}.`,
            ]
          : "Is a triggerer running? Without one nobody learns of the stop.",
      ),
      item.kind === "rollout" && item.report.abort_switch && byHand(item.report),
      item.kind === "shadow_test" &&
        h("li", null, "By hand: stop the inference experiment in the SageMaker console."),
    ),
  );
}

function abandoned(item, page) {
  return notice(
    "warn",
    "Nobody watches this ",
    `${nounOf(item)} any more: the task is ${item.state ?? "gone"}, and its report has no end. SageMaker may still be at work. Look at `,
    link(taskUrl(page.base, item), "the task's log"),
    item.report.links?.endpoint
      ? [" and ", consoleLink(item.report.links.endpoint, "the endpoint in SageMaker")]
      : "",
    ".",
  );
}

// Name of an abort switch's alarm: a hash of the endpoint's name, then the id of the rollout.
const SWITCH = /^airflow-guardrails-abort-[0-9a-f]{12}-([0-9a-f]{20}-[0-9a-f]{8})$/;

/**
 * How to throw the abort switch without Airflow's tasks: by the datapoint that they send. It holds until another
 * one comes, while a state set by SetAlarmState may be gone before SageMaker looks.
 */
function byHand({ abort_switch, endpoint_name, region }) {
  const [, rollout] = SWITCH.exec(abort_switch ?? "") ?? [];
  // Names come from an XCom. SageMaker's have letters, digits and hyphens only, and those need no quotes.
  const isSafe = (text) => /^[A-Za-z0-9][A-Za-z0-9-]*$/.test(text ?? "");
  if (!rollout || !isSafe(endpoint_name) || !isSafe(region))
    return h("li", null, "By hand: run a task of SageMakerAbortRolloutOperator for this endpoint.");
  const command =
    `aws cloudwatch put-metric-data --region ${region} --namespace AirflowGuardrails --metric-name Abort ` +
    `--dimensions EndpointName=${endpoint_name},Rollout=${rollout} --value 1 --storage-resolution 1`;
  return h("li", null, "By hand, with AWS's CLI: ", h("code", null, command));
}

function askToStop(item, page) {
  confirm(page, {
    title: `Stop the ${nounOf(item)} ${item.kind === "rollout" ? "of " : ""}${nameOf(item)}?`,
    text: [
      h("p", { class: "effect" }, `${item.report.stopping?.text ?? ""}`),
      h(
        "ul",
        null,
        h(
          "li",
          null,
          "Airflow marks ",
          h("b", null, item.stop.task_id),
          ` of DAG ${item.dag_id}, run ${item.run_id}, failed. It is not retried.`,
        ),
        item.kind === "rollout" &&
          item.report.previous_endpoint_config_name &&
          h("li", null, h("b", null, item.report.previous_endpoint_config_name), " serves afterwards."),
        h("li", null, "This cannot be undone."),
      ),
    ],
    no: "Keep it running",
    yes: [icon("stop"), `Stop the ${nounOf(item)}`],
    onYes: () => stop(item, page),
  });
}

async function stop(item, page) {
  const task = { ...item.stop };
  page.stops.set(item, { state: "sending", at: performance.now(), task });
  page.render();
  try {
    await markFailed(page.base, { dag_id: item.dag_id, run_id: item.run_id, ...task });
    page.stops.set(item, { state: "sent", at: performance.now(), task });
  } catch (error) {
    page.stops.set(item, {
      state: "refused",
      at: performance.now(),
      task,
      text: refusalInWords(error, item),
    });
  }
  page.render();
  page.reload();
}

function refusalInWords(error, { dag_id }) {
  if (!(error instanceof Refused))
    return "Airflow did not answer, so it is not known whether the task is marked failed. Look at the task's state before you try again.";
  const said = error.message ? ` Airflow says: ${error.message}` : "";
  const texts = {
    401: "your session has expired. Log in to Airflow again, then stop it.",
    403: `you may not change task instances of DAG ${dag_id} (403). Ask somebody who may edit this DAG.`,
    404: "Airflow does not find the task instance any more (404). Reload the page.",
    409: "the task has this state already, or cannot be changed now (409). Reload the page to see how it stands.",
  };
  return `${texts[error.status] ?? `Airflow refused (${error.status}).`}${said}`;
}

function nounOf({ kind }) {
  return kind === "shadow_test" ? "shadow test" : "update";
}

function nameOf({ kind, report }) {
  return kind === "shadow_test" ? report.name : report.endpoint_name;
}

function idOf({ dag_id, run_id, report }) {
  return JSON.stringify([dag_id, run_id, report.endpoint_name, report.name]);
}
