// The page inside Airflow's UI: React components, by the React of the UI, around the same mount().
import { mount } from "./rollouts.js";

const { createElement, useEffect, useRef } = globalThis.React;
const base = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

const component = (view) =>
  function Rollouts({ dagId, runId, taskId, mapIndex }) {
    const element = useRef(null);
    useEffect(
      () =>
        mount(element.current, {
          base,
          view,
          dagId,
          runId,
          taskId,
          // Airflow has no map index in the address of a task that is not mapped.
          mapIndex: Number(mapIndex ?? -1),
        }),
      [dagId, runId, taskId, mapIndex],
    );
    return createElement("div", { ref: element, "data-rollouts": view });
  };

// Airflow looks here for the names that the plugin registers.
globalThis["Rollouts"] = component("list");
globalThis["Rollout"] = component("rollout");
globalThis["AirflowGuardrailsCard"] = component("card");
