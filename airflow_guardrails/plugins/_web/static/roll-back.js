// Rolling back what serves: by a run of the DAG that is there for it.

import { Refused, triggerRun } from "./api.js";
import { confirm, notice } from "./dialog.js";
import { h, link } from "./dom.js";
import { icon } from "./words.js";

/** The roll-backs that were asked for on this page: by endpoint, { state: "sending" | "started" | "refused", ... }. */
export class RollBacks {
  #requests = new Map();

  of(item) {
    return this.#requests.get(item.report.endpoint_name) ?? null;
  }

  set(item, request) {
    this.#requests.set(item.report.endpoint_name, request);
  }
}

/** Whether the item is the last rollout of its endpoint, and what it deployed serves. */
function isServing(item, history) {
  const newest = (history ?? []).find((entry) => entry.kind === "rollout");
  return (
    item.kind === "rollout" &&
    item.report.outcome === "Succeeded" &&
    newest?.dag_id === item.dag_id &&
    newest?.run_id === item.run_id &&
    newest?.endpoint_config_name === item.report.endpoint_config_name
  );
}

/** The button; nothing where there is nothing to roll back, or no DAG that does it. */
export function rollBackControl(item, { history, rollback }, page) {
  if (!rollback || rollback.is_paused || !isServing(item, history)) return null;
  if (["sending", "started"].includes(page.rollBacks.of(item)?.state)) return null;
  return h(
    "button",
    {
      type: "button",
      class: "danger",
      "aria-haspopup": "dialog",
      onclick: () => askToRollBack(item, rollback, page),
    },
    icon("back"),
    "Roll back…",
    h("span", { class: "hidden" }, ` endpoint ${item.report.endpoint_name}`),
  );
}

/** Why there is no button, or what came of it. */
export function rollBackNotice(item, { history, rollback }, page) {
  if (!isServing(item, history)) return null;
  const request = page.rollBacks.of(item);
  if (request?.state === "sending") return notice("info", "Roll back: ", "asking Airflow to start the run …");
  if (request?.state === "started") {
    const run = `${page.base}/dags/${encodeURIComponent(request.dag_id)}/runs/${encodeURIComponent(request.run_id)}`;
    return notice(
      "info",
      "Roll back started: ",
      link(run, `run ${request.run_id} of ${request.dag_id}`),
      ". Its rollout is in the history here as soon as it updates the endpoint.",
    );
  }
  if (request?.state === "refused") return notice("bad", "Not rolled back: ", request.text);
  if (rollback?.is_paused)
    return h("p", { class: "stopping muted" }, h("b", null, "To roll back: "), `unpause DAG ${rollback.dag_id}`);
  return null;
}

function askToRollBack(item, rollback, page) {
  const { report } = item;
  confirm(page, {
    title: `Roll back endpoint ${report.endpoint_name}?`,
    text: [
      h(
        "p",
        { class: "effect" },
        h("b", null, report.endpoint_config_name),
        " was deployed last. The endpoint goes back to what served well before it, by a guarded update.",
      ),
      h(
        "ul",
        null,
        h("li", null, "Airflow starts a run of DAG ", h("b", null, rollback.dag_id), "."),
        h("li", null, "What serves now is not deployed again, unless with ", h("code", null, "redeploy=True"), "."),
      ),
    ],
    no: "Leave it",
    yes: [icon("back"), "Roll back"],
    onYes: () => rollBack(item, rollback, page),
  });
}

async function rollBack(item, { dag_id }, page) {
  const tell = (request) => {
    page.rollBacks.set(item, { dag_id, ...request });
    page.render();
  };
  tell({ state: "sending" });
  try {
    const run = await triggerRun(page.base, dag_id, { endpoint_name: item.report.endpoint_name });
    tell({ state: "started", run_id: run.dag_run_id });
  } catch (error) {
    tell({ state: "refused", text: refusalInWords(error, dag_id) });
  }
}

function refusalInWords(error, dagId) {
  if (!(error instanceof Refused))
    return "Airflow did not answer, so it is not known whether the run has started. Look at the DAG's runs before you try again.";
  const said = error.message ? ` Airflow says: ${error.message}` : "";
  const texts = {
    401: "your session has expired. Log in to Airflow again, then roll back.",
    403: `you may not start runs of DAG ${dagId} (403). Ask somebody who may.`,
    404: `Airflow does not find DAG ${dagId} any more (404). Reload the page.`,
  };
  return `${texts[error.status] ?? `Airflow refused (${error.status}).`}${said}`;
}
